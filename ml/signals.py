"""Signals for whoever must decide where a complaint goes: what the writer himself says happened, each with its words.

Unlike dangers these are few and said in few ways, so rules alone find them. A word alone says little: each must be asserted (not
denied, feared, asked, heard, or put into the other side's mouth), and most need something beside it: who can't be reached, who
else must act, how much is demanded under which threat.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ml.lexicon import stance

TYPES = (
    "suspected_fraud", "merchant_unreachable", "multi_department", "extortion", "new_economy", "mediation_wanted", "settlement_failed",
    "mediation_failed",
)  # fmt: skip
VERSION = "signals-1"
MOST_OF_TYPE = 3  # more words of one kind convince nobody more


@dataclass(frozen=True, slots=True)
class Signal:
    """Said at [start, end), code points of the text that was read."""

    type: str
    start: int
    end: int
    word: str


def find_signals(text: str, money: Sequence[tuple[int, int, int]], *, hurt: bool) -> list[Signal]:
    """Of a normalised text, in order. money: (start, end, fen) of every number that may be one. hurt: somebody was, so that what is
    demanded may lawfully exceed what was paid."""
    found: list[Signal] = []
    for kind, spans in (
        ("suspected_fraud", _fraud(text)),
        ("merchant_unreachable", _unreachable(text)),
        ("multi_department", _departments(text)),
        ("extortion", _extortion(text, money, hurt=hurt)),
        ("new_economy", _new_economy(text)),
        ("mediation_wanted", _mediation_wanted(text)),
        ("settlement_failed", _settlement_failed(text)),
        ("mediation_failed", _mediation_failed(text)),
    ):
        last = number = 0
        for start, end in spans:
            if start >= last and number < MOST_OF_TYPE:
                found.append(Signal(kind, start, end, text[start:end]))
                last, number = end, number + 1
    return sorted(found, key=lambda s: (s.start, s.type))


@dataclass(frozen=True, slots=True)
class _Pattern:
    """anchors: one of these must stand in the text before the expression is tried at all: most texts hold none."""

    anchors: tuple[str, ...]
    expression: re.Pattern[str]

    def find(self, text: str) -> Iterator[re.Match[str]]:
        return self.expression.finditer(text) if _any(text, self.anchors) else iter(())


def _any(text: str, words: Sequence[str]) -> bool:
    for word in words:  # noqa: SIM110 - a generator costs more than the tests
        if word in text:
            return True
    return False


# -- how something is said

_CLAUSE = re.compile(r"[,。;!?\n:]")
_SENTENCE_END = re.compile(r"[。!?;\n]")
_UNSURE = re.compile(
    r"(?:没(?:有)?|并?未|从不|从未|绝不|决不|不会|不是|并非|不存在|不算|不属于|不构成|不清楚|不确定|不晓得|不知道?|是不是|是否|会不会|有没有|如何|怎么|怎样|防止|以免|杜绝)[^,。;!?\n]{0,8}$"
)
_HEARSAY = re.compile(
    r"(?:听(?:人|别人|邻居|朋友)?(?:说|讲)|据说|有人说|传闻|传言|网上[^,。;!?\n]{0,4}说|网传|刷到)[^,。;!?\n]{0,14}$"
)
# 老板反说我调包了, 商家说他们绝不掺假: theirs, not the writer's.
_THEIR_WORDS = re.compile(r"(?:说|怪|诬陷|诬赖|赖|指责|讲|咬定|怀疑|污蔑|冤枉)(?:是|成)?(?:我|本人|消费者)[^,。;!?\n]{0,8}$")


def _before(text: str, start: int, far: int = 24) -> str:
    """The clause's words before start."""
    return _CLAUSE.split(text[max(0, start - far) : start])[-1]


def _asserted(text: str, start: int, end: int) -> bool:
    clause = _before(text, start)
    return not (
        stance(text, start, end) in ("denied", "feared")
        or _HEARSAY.search(clause)
        or _UNSURE.search(clause)
        or _THEIR_WORDS.search(clause)
    )


def _sentence(text: str, start: int, end: int, far: int = 60) -> tuple[int, int]:
    """The sentence around [start, end), at most `far` on each side."""
    low = max(0, start - far)
    ends = [m.end() for m in _SENTENCE_END.finditer(text, low, start)]
    after = _SENTENCE_END.search(text, end, min(len(text), end + far))
    return (ends[-1] if ends else low), (after.start() if after else min(len(text), end + far))


# -- fraud (消保法 Art. 55) as the writer says it

_FRAUD = tuple(
    _Pattern(tuple(anchors.split()), re.compile(expression))
    for anchors, expression in (
        ("以假 以次 以旧 鱼目 偷梁 羊头 掺 搀", r"以假(?:充|乱|当)真|以次(?:充|当)好|以旧(?:充|当)新|鱼目混珠|偷梁换柱|挂羊头卖狗肉|[掺搀]杂?了?掺?假"),
        ("调包 掉包 了包 偷偷 暗中 私下 偷换", r"[调掉]了?包|(?:偷偷|暗中|私下)地?(?:把|给|将)?[^,。;!?\n]{0,10}换[成了掉走]|偷换(?!概念)"),
        ("原价 折扣 划线价", r"虚[构假标](?:了|的)?(?:原价|折扣|划线价)"),
        ("先", r"先[^,。;!?\n]{0,3}[涨提抬调]高?(?:价|到|了|成)?[^。;!?\n]{0,16}(?:再|然后|又)[^,。;!?\n]{0,4}(?:打[^,。]{0,2}折|对折|降价|优惠|折扣|促销)"),
        ("涨到 提到 抬到 涨成 提高 抬高 涨高", r"把[^,。;!?\n]{0,10}[价从][^。;!?\n]{0,14}[涨提抬][到成高][^。;!?\n]{0,10}(?:再|然后|又)[^,。;!?\n]{0,4}(?:打[^,。]{0,2}折|对折|降价|优惠)"),
        ("当 充 假", r"(?:翻新|二手|旧|库存|样|返修|拆封|贴牌|山寨|过期|临期)的?[^,。;!?\n]{0,3}(?:冒充|充当|假冒|假装|说成|当成|当作|当|充)[^,。;!?\n]{0,3}是?(?:新|全新|正品|原装|正常)|(?:拿|把|用|将)[^,。;!?\n]{0,6}假的?[^,。;!?\n]{0,4}(?:当|充|说成|冒充)(?:成|作)?真"),
        ("原装 正品 原厂 全新", r"(?:原装|正品|原厂|全新)[^,。;!?\n]{0,6}换[成上作]了?[^,。;!?\n]{0,6}(?:组装|副厂|旧|假|杂牌|二手|次品|拆机)"),
        ("冒充", r"冒充是?(?!公安|警察|客服|工作人员|领导)[^,。;!?\n]{1,8}"),
        ("明知 故意 存心 蓄意", r"(?:明知|故意|存心|蓄意)[^。;!?\n]{0,20}(?:当|按|充|作为|说成|标成)[^,。;!?\n]{0,10}(?:卖|销售|出售)"),
        ("里程 公里数 表显 码表 电表 水表", r"(?:里程|公里数|表显|码表)[表数]?[^,。;!?\n]{0,4}被?(?:调|改|回拨|倒拨)|(?:调|改|回拨|倒拨)(?:了|过|低|小)?[^,。;!?\n]{0,3}(?:里程|公里数|表显|码表|电表|水表)"),
        ("作弊 手脚 秤", r"作弊的?(?:芯片|装置|器|程序|遥控|秤)?|[做动]了?手脚|八两秤|鬼秤|假秤"),
        ("欺诈", r"(?:是|属于?|构成|涉嫌|系|存在|纯属?|明显|价格|消费|商业|这种|恶意|故意|合同|典型的?)欺诈|欺诈(?:消费者|顾客|行为|我)"),
        ("伪造 造假 假货 假冒 冒牌 赝品 高仿", r"伪造|造假|(?:卖|售|买到|收到|全|都|就|是|系)的?了?(?:是)?(?:假货|假冒(?:产品|商品|伪劣)?|冒牌货?|赝品|高仿货?)|假冒伪劣"),
        ("鉴定 检测 化验 查询 验货 专柜 官方", r"(?:鉴定|检测|化验|查询|验货|专柜|官方)[^。;!?\n]{0,14}(?:是假的|为假|系假|假冒|不是正品|非正品|仿品|仿冒)"),
    )
)  # fmt: skip
_NO_FRAUD_AFTER = re.compile(r"^(?:的?(?:保障|保证|险|必赔|包赔)|率)")


def _fraud(text: str) -> Iterator[tuple[int, int]]:
    for start, end in sorted(m.span() for pattern in _FRAUD for m in pattern.find(text)):
        if (
            _asserted(text, start, end)
            and not _NO_FRAUD_AFTER.match(text[end : end + 4])
            and not _GUARANTEE.search(_before(text, start))
        ):
            yield start, end


_GUARANTEE = re.compile(r"(?:不保|承诺|保证|声称|宣称|假一赔|拒绝|反对|打击|抵制)[^,。;!?\n]{0,6}$")


# -- a merchant who can't be reached

_GONE = _Pattern(
    ("跑", "楼空", "卷", "失联", "失去联系", "不知去向", "去向不明", "下落不明", "蒸发"),
    re.compile(
        r"跑路|(?:老板|商家|店家|店主|负责人|夫妇|夫妻|人)(?:已经|也|都|全|就|早|连夜|带[^,。;!?\n]{0,6})*跑[了掉]|人去楼空|卷(?:款|钱|铺盖)[^,。;!?\n]{0,4}(?:跑|走|逃|消失|失联)|失联|失去联系|不知去向|去向不明|下落不明|人间蒸发"
    ),
)
_SILENT = _Pattern(
    (
        "联系不",
        "联络不",
        "法联系",
        "法再联系",
        "法取得联系",
        "法联络",
        "联系上",
        "找不",
        "关机",
        "停机",
        "空号",
        "打不通",
        "法接通",
        "人接",
        "拉黑",
    ),
    re.compile(
        r"(?:联系|联络)不(?:上|到|了)|[无没办]法再?(?:取得)?联[系络]|没能?联系上|找不(?:到|着|见)(?:人|任何人|他|她|了|老板|商家|店家|店主|负责人|卖家|公司|企业|经营者|地方)|人[也都]?找不[到着]"
        r"|(?:电话|手机|号码)?(?:关机|停机|空号|打不通|无法接通|无人接听|没人接)|拉黑"
    ),
)
_MERCHANT = re.compile(
    r"老板|商家|店家|店主|负责人|法人|经营者|卖家|店铺|门店|网店|公司|企业|教练|机构|工作室|商户|商铺|房东|中心|影楼|健身房|关门|关店|停业|闭店|倒闭|锁|搬[空走]|撤[店柜]|注销|下架|留的(?:电话|地址|号)|公示的?(?:电话|地址)"
)
_HELPERS = re.compile(
    r"客服|快递|骑手|物流|售后|师傅|司机|人工|平台|驿站|配送|跑腿|热线|12315|12345|物业|导购|机器人|银行|\bAPP\b|app"
)
_FOUND_AGAIN = re.compile(
    r"(?:后来|又|之后|第二天|最后|终于|隔天|再次)[^,。;!?\n]{0,8}(?:联系上|打通|接通|通了|接了|找到|回电|回复)|(?:联系上|打通|接通)了"
)


def _unreachable(text: str) -> Iterator[tuple[int, int]]:
    gone, silent = list(_GONE.find(text)), list(_SILENT.find(text))
    if not (gone or silent) or _FOUND_AGAIN.search(text):
        return
    for match in gone:
        if _asserted(text, *match.span()) and not _HELPERS.search(_before(text, match.start(), 10)):
            yield match.span()
    for match in silent:
        start, end = match.span()
        if stance(text, start, end) or _ASKED.search(_before(text, start)) or _HELPERS.search(_before(text, start, 14)):
            continue
        if _HELPERS.match(text, end):
            continue
        low, high = _sentence(text, start, end, 40)
        if _MERCHANT.search(text, low, min(high, end + 10)):
            yield start, end


_ASKED = re.compile(r"(?:是不是|是否|会不会|怕|担心|如果|万一|要是|以免)[^,。;!?\n]{0,10}$")


# -- several authorities that must act together

_AUTHORITY = re.compile(
    r"(?P<fire>消防(?!通道|栓|器材?|门|车|证|水|演练|箱|工程|设施))|(?P<education>教育局|教体局|教育部门|教育主管|教育委|教委|教育(?=[、和及与,]|以及))|(?P<housing>住建|房管|住房(?:和|与)?城乡建设|建设局)"
    r"|(?P<police>公安|派出所|警方|经侦)|(?P<traffic>交警|交管)|(?P<health>卫健|卫生健康|卫生局|卫生监督|疾控)|(?P<labour>人社|劳动监察|劳动局|人力资源)"
    r"|(?P<civil>民政)|(?P<city>城管|综合执法局|行政执法局)|(?P<environment>环保局|环保部门|生态环境|环保(?=[、和及与]))|(?P<transport>交通(?:运输)?(?:局|部门|委)|运管|道路运输)"
    r"|(?P<culture>文旅|文化(?:和旅游)?(?:局|执法|部门)|旅游局)|(?P<sport>体育局|体育部门)|(?P<farm>农业农村|农业局|农业部门|畜牧)|(?P<tax>税务)|(?P<finance>金融(?:局|办|监管)|银保监|人民银行)"
    r"|(?P<tobacco>烟草(?:局|专卖))|(?P<emergency>应急管理|应急局|安监)|(?P<commerce>商务局|商务部门|商务(?=[、和及与]))|(?P<water>水务|供电局|供电公司|电力局)|(?P<land>自然资源|规划局|国土)"
    r"|(?P<insurance>医保局|医保部门)|(?P<telecom>通信管理|网信|通管局)|(?P<street>街道办)"
)  # fmt: skip
_AUTHORITY_NAMES = (
    "消防", "教育局", "教育部门", "教育主管", "教育委", "教育、", "教育和", "教育及", "教育与", "教育,", "教育以", "教体", "教委", "住建", "房管", "城乡建设", "建设局", "公安", "派出所",
    "警方", "经侦", "交警", "交管", "卫健", "卫生健康", "卫生局", "卫生监督", "疾控", "人社", "劳动监察", "劳动局", "人力资源", "民政", "城管", "执法局", "环保局", "环保部门",
    "环保、", "环保和", "环保及", "环保与", "生态环境", "交通局", "交通部门", "交通委", "交通运输", "运管", "道路运输", "文旅", "文化局", "文化执法", "文化部门", "文化和旅游", "旅游局",
    "体育局", "体育部门", "农业农村", "农业局", "农业部门", "畜牧", "税务", "金融局", "金融办", "金融监管", "银保监", "人民银行", "烟草局", "烟草专卖", "应急管理", "应急局", "安监",
    "商务局", "商务部门", "商务、", "商务和", "商务及", "商务与", "水务", "供电局", "供电公司", "电力局", "自然资源", "规划局", "国土", "医保局", "医保部门", "通信管理", "网信", "通管局",
    "街道办", "个部门", "多部门", "各部门", "两部门",
)  # fmt: skip
_ACTS = re.compile(
    r"^(?:局|部门|委员会|委|大队|支队|中队|所|厅|机关|方面|那边|监督所|的人|的同志|执法|民警|警察|救援|主管)*(?:也|都|又|则|已经|已|就|来|曾|上门|现场|今天|昨天)*"
    r"(?:说|称|讲|认定|认为|查(?:出|封|过|了|处)|来(?:过|查|看|封)|去(?:过|查)|贴|封|责令|下[了达]|让|叫|要求|答复|回复|表示|管不|不管|推|不归|归|通知|撤|检查|责成|吊销|没(?:有)?(?:验收|备案|批)|未(?:验收|备案)|验收|备案|介入|立案|不予|出具|出了|处罚|罚|反映|调查)"
)
_JOINT = re.compile(
    r"联合(?:执法|处理|处置|检查|整治|查处|解决|调查|行动|治理|办理|介入|监管|起来)|多(?:个)?部门(?:联合|协同|共同|一起|联动|协调)?[^,。;!?\n]{0,4}(?:执法|处理|处置|检查|整治|查处|解决|调查|治理)|(?:会同|协同|协调|联系)[^。;!?\n]{2,20}(?:部门|局|委|等)?[^。;!?\n]{0,6}(?:处理|处置|解决|查处|调查|整治|检查)"
    r"|(?:一起|一并|共同|合力|联手|联动)(?:来|去|出面)?(?:联合)?(?:处理|处置|解决|查处|调查|整治|检查|管|介入|执法|查)"
)  # fmt: skip
_PUSHED = re.compile(
    r"(?:互相|相互|来回)(?:推(?:诿|脱|来推去|责任)?|踢(?:皮球)?|扯皮)|踢(?:来踢去|皮球)|推来推去|[几两三四各][个家](?:部门|单位|局)?[^,。;!?\n]{0,6}(?:都?推|都说不归|都不管|扯皮|踢)|都说不(?:归|是)[^,。;!?\n]{0,4}管"
)
_BUREAU = re.compile(r"市场监[管督]|市监|工商|你们局|贵局|部门")


def _departments(text: str) -> Iterator[tuple[int, int]]:
    """Others than the bureau: one beside a call to act together, one beside a quarrel about who is competent, or two that acted."""
    if not _any(text, _AUTHORITY_NAMES):
        return
    named = [(str(m.lastgroup), m.start(), m.end()) for m in _AUTHORITY.finditer(text)]
    joint = [m.span() for m in _JOINT.finditer(text) if _asserted(text, *m.span())]
    if not named:
        yield from (s for s in joint if "部门" in text[s[0] : s[1]])
        return
    acting = {kind: (start, end) for kind, start, end in reversed(named) if _ACTS.match(text[end : end + 16])}
    for start, end in joint:
        low, high = _sentence(text, start, end, 40)
        if any(low <= s < high for _, s, _ in named) or ("联合" in text[start:end] or "部门" in text[start:end]):
            yield start, end
            return
    for match in _PUSHED.finditer(text):
        low, high = _sentence(text, *match.span())
        if len({kind for kind, _, _ in named}) > 1 or (acting and _BUREAU.search(text, low, high)):
            yield match.span()
            return
    if len(acting) >= 2:
        yield from sorted(acting.values())


# -- money for silence (Order 121 Art. 42), said by the writer himself

_THREAT = re.compile(
    r"曝光|(?:发|挂|传|捅|放|晒)(?:到|上|在|布|出去)?[^,。;!?\n]{0,8}(?:网|平台|抖音|快手|小红书|微博|朋友圈|视频|群)|视频[^,。;!?\n]{0,4}发|拍视频|直播(?=[^,。]{0,6}(?:揭|骂|曝|堵))|开不(?:成|了|下去)|做不(?:成|了|下去)|关门|倒闭|停业|罚到|罚死|(?:举报|投诉)(?!电话)|删(?:帖|视频|评|差评)|差评|找人|天天(?:来|去|找|堵|闹)|闹到|堵(?:店|门|你)|身败名裂|名声|没完"
)
_CONDITION = re.compile(
    r"不然|否则|要不然|要么|除非|(?:不|没)(?:给|赔|拿|付|掏|出|转|打|答应|肯|同意|私了|满足)|就(?:算了|算完|了结|了事|两清|不追究|不举报|不发|删|撤)|封口费|私了|两条路|想(?:让|要)我(?:删|撤|不)|(?:给|拿|赔|付|掏|出)[^,。;!?\n]{0,12}(?:我就|这事|此事|就)"
)
_CONDITION_WORDS = (
    "不然", "否则", "要么", "除非", "算了", "算完", "了结", "了事", "两清", "不追究", "私了", "封口", "两条路", "删", "我就", "就不", "这事", "此事", "不给", "不赔",
    "不拿", "不付", "不掏", "不出", "不转", "不打", "不答应", "不肯", "不同意", "不满足", "没给", "没赔", "没答应", "要我撤",
)  # fmt: skip
_HUSH = re.compile(r"(?:块钱|元|块)?(?:的)?(?:封口费|删帖费|私了费|保护费|平安费)|私了")
_NOT_MINE = re.compile(
    r"(?:老板|商家|店家|店员|经理|对方|他们?|她|客服|店里|人家|那人|有人|打假人|顾客|职业[^,。]{0,4})(?:还|就|反|却|又|反过来|直接|当场)*(?:威胁|敲诈|勒索|恐吓|要|让|叫|逼|跟|对|向|找|问)(?:着|了)?我|(?:威胁|敲诈|勒索|恐吓|逼)(?:本店|我店|我们|我)|(?:有人|听说|网上)[^,。]{0,4}(?:说|讲|教)|(?<!告诉)(?<!跟)(?<!和)(?<!让)(?<!叫)(?<!给)(?:老板|商家|店家|店员|客服|对方|他家|店里)[^,。;!?\n]{0,6}(?:说|提出|主动|愿意|答应|肯|想|给)[^,。;!?\n]{0,10}(?:封口费|私了)|(?<!想)(?<!要)(?:让|叫)我删"
)
_ALWAYS_LAWFUL_FEN = 100_000  # 食品安全法 148: a thousand yuan whatever the price
_UNPRICED_FEN = 500_000  # where no price is said, and the threat is ruin
_RUIN = re.compile(r"关门|倒闭|停业|开不(?:成|了|下去)|做不(?:成|了|下去)|罚[到死]|身败名裂|天天(?:来|去|找|堵|闹)")
_REACH = 60


# What money is demanded, not paid: 赔我八千, 拿两万出来, 三万封口费.
_DEMANDING = re.compile(
    r"(?:赔|陪|补偿|给|拿|掏|出|付|打|转|索|私了|要|值)(?!了)(?:偿|付|我|给我|给|出|个|他|一笔|要|要求|至少|不少于|现金|:)*[^,。;!?\n退买花交充收了]{0,5}$"
)
_PAID_BEFORE = re.compile(r"(?:退|还我|买|花|交|充|收|支付|付了|消费|价格|单价|标价|卖|只肯|只愿|只给|只赔)[^,。;!?\n]{0,10}$")


def _extortion(text: str, money: Sequence[tuple[int, int, int]], *, hurt: bool) -> Iterator[tuple[int, int]]:
    """A threat and a condition of the writer's, and beside them a demand of more money than any law gives: ten times the price and
    the price (食品安全法 148). Where the price is not said, or somebody was hurt, only what is called hush money."""
    if not money or not _any(text, _CONDITION_WORDS):
        return
    demands = [
        m for m in money
        if _HUSH.match(text, m[1]) or (_DEMANDING.search(clause := _before(text, m[0], 16)) and not _PAID_BEFORE.search(clause))
    ]  # fmt: skip
    if not demands:
        return
    start, end, fen = max(demands, key=lambda m: m[2])
    rest = [m[2] for m in money if m not in demands]
    low, high = max(0, start - _REACH), min(len(text), end + _REACH)
    window = text[low:high]
    threat, condition = _THREAT.search(text, low, high), _CONDITION.search(text, low, high)
    if not (threat and condition) or "我" not in window or _NOT_MINE.search(window):
        return
    lawful = max(11 * max(rest), _ALWAYS_LAWFUL_FEN) if rest else None
    if lawful is None and _RUIN.search(window):
        lawful = _UNPRICED_FEN
    if _HUSH.search(window) or (lawful is not None and fen > lawful and not hurt):
        yield min(start, threat.start(), condition.start()), max(end, threat.end(), condition.end())


# -- new technology, industry, form and model of trade (四新经济)

_NEW_ECONOMY = _Pattern(
    (
        "直播", "主播", "带货", "团购", "团长", "共享", "盲盒", "网约车", "顺风车", "知识付费", "剧本杀", "密室", "无人", "驾驶", "智驾", "人工智能", "大模型", "AI", "ai",
        "藏品", "虚拟", "跨境", "海淘", "陪诊", "预制菜", "换电", "电竞", "云养", "殡葬", "数字人", "元宇宙",
    ),
    re.compile(
    r"直播间|直播(?:带货|打赏|购物|卖)|(?:网红)?主播|带货|社区团购|社群团购|团长|共享(?:单车|电单车|电动车|汽车|充电宝|雨伞|按摩椅|洗衣机)|盲盒|网约车|顺风车|知识付费|剧本杀|密室逃脱|无人机|无人(?:驾驶|零售|售货|超市)|自动驾驶|辅助驾驶|智驾|智能驾驶|人工智能|大模型|(?<![a-zA-Z])(?:AI|ai)(?![a-zA-Z])|数字藏品|虚拟(?:主播|偶像|人)|跨境电商|海淘|陪诊|预制菜|换电(?:站|柜|模式)|电竞酒店|云养|宠物殡葬|数字人|元宇宙"
    ),
)  # fmt: skip


def _new_economy(text: str) -> Iterator[tuple[int, int]]:
    for match in _NEW_ECONOMY.find(text):
        if not _UNSURE.search(_before(text, match.start())):
            yield match.span()


# -- mediation by others than the bureau, and what was tried before

_BODY = r"(?:消费者(?:权益保护)?(?:协会|委员会)|消协|消委会?|消保委|人民调解(?:委员会|组织|员|中心)?|调解(?:组织|委员会|中心|机构)|行业协会|商会|第三方(?:调解)?(?:机构|组织)?|维权服务站)"
_WANT = r"(?:希望|请求?|申请|愿意|同意|要求|恳请|想请?|接受|盼|望|可以)"
_WANTED = re.compile(
    rf"{_WANT}[^。;!?\n]{{0,10}}{_BODY}[^。;!?\n]{{0,12}}(?:调解(?!员|组织|委)|协调|主持|调处|居中|出面|介入|处理|解决)|{_WANT}[^,。;!?\n]{{0,4}}(?:由|走)?委托(?:[^,。;!?\n]{{0,12}})?调解"
    rf"|{_WANT}[^,。;!?\n]{{0,4}}(?:有人|有个中间人|中立)[^,。;!?\n]{{0,6}}(?:主持|居中)[^,。;!?\n]{{0,3}}调解"
)
_UNWANTED = re.compile(r"(?:不|没有?|未|拒绝|无需|不用|不必|不想|不愿|并非|无法)$")
_OTHERS_WANT = re.compile(r"(?:让|叫|推|喊|建议|劝)我[^,。;!?\n]{0,6}$|(?:商家|老板|店家|对方|他们|店里|商场)[^,。;!?\n]{0,4}$")


def _mediation_wanted(text: str) -> Iterator[tuple[int, int]]:
    if "调解" not in text and "消" not in text and "第三方" not in text:
        return
    for match in _WANTED.finditer(text):
        clause = _before(text, match.start(), 12)
        if (
            _UNWANTED.search(clause)
            or _OTHERS_WANT.search(clause)
            or _ALREADY.search(match.group())
            or _INNER_NO.search(match.group())
        ):
            continue
        if not stance(text, match.start(), match.end()):
            yield match.span()


_ALREADY = re.compile(r"调解(?:过|了|失败|不成|书)|已(?:经)?调解")
_INNER_NO = re.compile(r"不(?:要|想|愿意?|需要|用|经过|通过|走|找)|而不是|市场监管[^,。]{0,4}(?:直接|来)?(?:处理|调解)")
_ODR = re.compile(
    r"(?:线上|在线|网上|先行|自行|平台)(?:的)?(?:消费)?(?:纠纷)?和解|ODR|odr|绿色通道|(?:12315)[^。;!?\n]{0,16}和解|和解(?:渠道|程序|通道|环节|流程)"
)
_SETTLING_FAILED = re.compile(
    r"和解[^,。;!?\n不没未]{0,6}(?:失败|不成|未成|没成|不了|没(?:有)?(?:成功|成|谈成|谈拢|达成|结果)|未(?:能)?(?:成功|达成|果)|终止|超时|谈崩|谈不拢|破裂|无果|泡汤|被拒)|未(?:能)?达成(?:线上|在线)?和解|没(?:有|能)?(?:达成|谈成)(?:线上|在线)?和解|和解[^,。;!?\n]{0,4}(?:谈崩|以失败告终)"
)
_TRIED = re.compile(
    r"(?:选了|选择了|选择|走了?|走过|通过|经过|申请(?:了|过)|提交(?:了|过)?|发起(?:了|过)?|试(?:了|过)|参加(?:了|过)|进行(?:了|过)|在|先|曾|之前|此前|已经?)[^。;!?\n]{0,24}$"
)
_NO_RESULT = re.compile(
    r"(?:没|未|不|无法)(?:能)?(?:有)?(?:谈成|谈拢|达成|谈妥|成功|解决)|谈崩|谈不拢|(?:企业|商家|店家|对方|卖家|公司)[^,。;!?\n]{0,6}(?:拒绝|不同意|没(?:有)?同意|不接受|不认可|超时|逾期|未(?:予)?(?:答复|回复|处理))|(?:拒绝|不同意)(?:了)?(?:我的)?(?:方案|请求|诉求|退款|赔偿)|(?:超时|逾期)(?:未|没)|十个工作日[^。;!?\n]{0,8}(?:满|过|到)|期限(?:已)?[满过到]"
)
_ONLY_NOW = re.compile(
    r"(?:愿意?|同意|可以|接受|想|希望|要|能|肯|选择先|支持|进行|还没有?|没有?|未|不)(?:先|再)?(?:走|通过|尝试|试试|进行|参加)?(?:过)?(?:全国)?$"
)


def _settlement_failed(text: str) -> Iterator[tuple[int, int]]:
    """With an ODR enterprise or by the platform's settlement; what was only talked over with the merchant is none."""
    if "和解" not in text and "ODR" not in text and "odr" not in text and "绿色通道" not in text:
        return
    for match in _SETTLING_FAILED.finditer(text):
        if not (
            stance(text, *match.span()) or _SUPPOSED.search(match.group()) or _CONDITIONAL.search(_before(text, match.start()))
        ):
            yield match.span()
            return
    for match in _ODR.finditer(text):
        start, end = match.span()
        before = _before(text, start, 30)
        if _ONLY_NOW.search(before) or _CONDITIONAL.search(before) or not _TRIED.search(text[max(0, start - 30) : start]):
            continue
        failed = _NO_RESULT.search(text, end, min(len(text), end + 70))
        if failed and not _CONDITIONAL.search(_before(text, failed.start())) and "正在" not in text[max(0, start - 4) : end + 6]:
            yield start, failed.end()
            return


_SUPPOSED = re.compile(r"如果|万一|要是|若|会不会|假如|怎么办")
_CONDITIONAL = re.compile(r"(?:如果|若是?|要是|万一|一旦|倘若|假如|等|怕|担心|以免)[^,。;!?\n]{0,10}$")
_MEDIATION_FAILED = re.compile(
    rf"(?:{_BODY})[^。;!?\n]{{0,24}}(?:调解|协调|调处)[^。;!?\n]{{0,16}}?(?:失败|不成|未成|没(?:有)?(?:成功|成|谈成|谈拢|达成|结果|调成)|未(?:能)?(?:成功|达成|果)|无果|终止|谈不拢|不同意|拒绝|不来|没来|未到|破裂)"
)


def _mediation_failed(text: str) -> Iterator[tuple[int, int]]:
    if "调解" not in text and "消协" not in text:
        return
    for match in _MEDIATION_FAILED.finditer(text):
        before = _before(text, match.start())
        if not (stance(text, *match.span()) or _CONDITIONAL.search(before) or _WISH.search(before)):
            yield match.span()
            return


_WISH = re.compile(rf"{_WANT}[^,。;!?\n]{{0,8}}$")
