"""Seeded, made-up streams of complaints on incidents and merchants, with the truth of what belongs together.

Incidents are planted with distractors around them: what looks alike and is another matter. In texts `[a|b]` is a free choice
and these slots are filled per complaint: {m} merchant, {p} product, {a} amount, {d} day, {w} place. Nobody here is real.
"""

import re
from bisect import bisect
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np

from ml.synthetic.complaints import CHINA, WAKING, _spin, _uscc
from ml.synthetic.people import CROWDS, PLACES, ROAD_KINDS, ROADS, Place, _put


@dataclass(frozen=True, slots=True)
class Noise:
    """Shares of complaints to spoil."""

    merchant_missing: float = 0.22  # the field; of areas AREA_MISSING
    unnamed: float = 0.33  # of texts whose field is empty
    shy: float = 0.2  # of texts whose field is filled: 这家店
    homophone: float = 0.1  # of names: a sign of the brand becomes one of its sound
    place_missing: float = 0.1  # of texts on an area: 我们小区
    suffix_missing: float = 0.3  # of names that should tell a shop
    product_missing: float = 0.24
    product_wrong: float = 0.1
    city_missing: float = 0.08
    district_missing: float = 0.08  # beside the city
    event_missing: float = 0.28
    lot_missing: float = 0.4
    typo: float = 0.3


NOISES = {
    "ordinary": Noise(),
    "clean": Noise(**{field.name: 0.0 for field in fields(Noise)}),
    "hard": Noise(
        merchant_missing=0.4, unnamed=0.45, shy=0.5, homophone=0.25, place_missing=0.25, suffix_missing=0.5, product_missing=0.45,
        product_wrong=0.2, city_missing=0.2, district_missing=0.2, event_missing=0.5, lot_missing=0.6, typo=0.6,
    ),
}  # fmt: skip


@dataclass(slots=True)
class Filed:
    """A complaint as it came in, then its truth; `shop_id` is the place in its merchant's shops, or -1."""

    cid: int
    filed_at: datetime
    text: str
    merchant: str | None
    product: str | None
    city: str | None
    district: str | None
    event_date: date | None
    lot_no: str | None
    person_id: int
    incident_id: int
    merchant_id: int
    shop_id: int
    issue: str
    scope: str


@dataclass(frozen=True, slots=True)
class Registered:
    """A merchant as a register holds it: under its last name, with the former one among the aliases."""

    merchant_id: int
    uscc: str
    name: str
    aliases: tuple[str, ...]
    shops: tuple[str, ...]
    city: str
    trade: str
    chain: bool


@dataclass(frozen=True, slots=True)
class Stream:
    rows: list[Filed]
    merchants: list[Registered]


class Trade(NamedTuple):
    """Its share, the share of chains, usual amounts, words of registered names, words of shops, goods."""

    share: int
    chains: float
    yuan: tuple[int, int]
    firms: str
    shops: str
    goods: str
    remote: bool = False


class Issue(NamedTuple):
    """A matter: its weight, trades, and sentences; `late` ones come as it wears on. `kind` may be area or lot."""

    name: str
    weight: int
    trades: str
    texts: str
    late: str = ""
    goods: str = ""
    kind: str = ""


def _words(text: str) -> list[str]:
    return text.split()


# fmt: off
START, DAYS, AREA_MISSING, AREA_NAMED, RENAMED = datetime(2025, 1, 1, tzinfo=CHINA), 365, 0.7, 0.35, 0.025
MERCHANTS, BRANDS, TWINS = 0.0685, 1150, 0.08  # merchants a complaint; brands by sound, dealt again and again; named after another
SCOPES = {"chain": 0.235, "area": 0.105, "lot": 0.035, "shop": 0.255}  # shares of complaints; the others stand alone
TAIL, MOST, QUIET = 1.0, 400, 25  # of incidents' sizes; days between like matters that are not one
# Signs of brands by sound, the usual one first; ahead of them and after them at times a word.
SYLLABLES = _words("""
安鞍 宝保葆 春纯 福富馥 贵桂 海 和禾荷 恒衡 宏鸿红虹 华桦 惠慧汇 嘉佳家 金锦津 景晶静 康 兰岚蓝 丽莉力 玲灵凌 隆龙珑 林琳霖 美梅 明铭鸣
沐木牧 宁柠 清青晴 荣蓉融 瑞睿 盛胜圣 顺舜 泰太 唐棠堂 天甜田 万婉 祥翔湘 鑫新欣馨 兴星 雅 阳洋 益怡艺 友优 源圆缘 云芸 泽 智志 众中忠
悦月跃 宇雨羽 辰晨 诚程 达 丰枫 凯 麦 诺 尚 思丝 溪西熙""")
AHEAD, AFTER, MAKER = "老小阿大", "记坊轩阁里家", 2  # and signs of the brand of a product
SERIAL = _words("过期商品 分量不足 包装异物 承诺落空 售假 结账加价")
STEMS = _words("""
书香 翠堤 云麓 锦程 桃源 松涛 望江 月湖 金穗 枫桥 兰庭 梅岭 星河 丹桂 石榴 棠溪 凤鸣 碧波 芳草 柳岸 竹韵 海棠 天鹅 橡树 丽水 南塘 西苑 东湖 北岭
龙泉 玉兰 荷塘 紫藤 青枫 鹭岛 雁栖 春晓 秋实 朗润 和顺""")
KINDS = _words("新村 花园 雅苑 公馆 名城 家园 小区 小区 华府 湾")
FORMS = _words("有限公司 有限公司 有限公司 有限责任公司 股份有限公司 中心 商行 工作室")
# Signs that typing by sound confuses.
CONFUSED = _words("""
的地得 在再 做作 账帐 已以 那哪 退腿 费废 商伤 假甲 期其 像向 坐座 必毕 应因 须需 因音 长常 交缴 理里 经精 只之 事是 人认 合和 订定 到道 元园 时实
买卖 知只 工公 无物 没眉 问闻 清请 现线 反返 明名 处触 司师 名明 电店 才材 多朵 找照 急及 要药 开凯 说硕 后候 次刺 气汽 报抱 水睡 停庭 楼漏 户护 客克
员圆 服付 行形 有友 不布 联连 修休 安按 家加 收手 关官 门们 过果 都督 签迁 课刻 车扯""")
OPENERS = _words("""
我要投诉， 我要投诉， 你好， 来电人称， 来电人称， 市民来电， 群众反映， 投诉人表示， 我想反映， 请帮帮我， 求助， 领导好， 情况是这样， 事情经过：
消费者表示， 本人实名投诉， 替家里人问一下， 作为业主， 外地来的， 第一次投诉， 12345转来， 网上留言：""")
REMARKS = _words("""
我有[照片|视频|录像|付款截图]可以提供。 [前后|总共]找了[两|三|四|五]次都没结果。 群里[几十|上百|二十来]个人都是一样的情况。 打电话[没人接|总是占线|接了就挂]。
对方说[要等总部|请示领导|走流程]，一拖再拖。 [老人|孩子|家里人]因为这事[几天没睡好|哭了好几回|很着急]。 已经[一个星期|半个月|好些天]了没人给答复。 之前向[居委会|平台|街道]也反映过，没下文。
态度[很差|蛮横|让人心寒]，还说随便告。 我只是个普通打工的，挣钱不容易。 [微信|短信]不回，[上门|到店]也见不到管事的。 合同和[收据|发票]我都留着。 这不是头一回了，[去年|上个月]也闹过。
希望不要再踢皮球。 本来是信得过[朋友推荐|广告]才来的。 [下雨天|大晚上|请了假]跑过去也是白跑。 当时没想那么多，现在越想越气。 网上一搜，[差评|类似的帖子]一大堆。""")
DEMANDS = _words("""
[请|望][有关部门|贵局|市监局][尽快|及时]处理。 诉求：退款。 诉求：退款并赔偿。 要求[全额退款|退回{a}|把钱退给我]。 要求[道歉|赔偿损失|书面答复]。 希望[有个说法|给我一个交代|尽快解决]。
请[核实|调查|上门查看]并回复。 恳请[介入|协调|督促整改]。 麻烦[催一催|管一管|查一查]。 要求依法[查处|处罚]，并告知结果。""")
LENGTHY = _words("""
起初我也不想麻烦政府部门，觉得买卖双方好商量，所以先后去了几趟，每次都是不同的人接待，说法也不一样，有的说能办，有的说不归他们管。
为了这件事我专门请假，来回路费就花了不少，单位领导都有意见了，可对方还是一句等通知，连个具体日期都不肯讲。
我把经过都写在本子上了，几点几分打的电话，是谁接的，怎么答复的，一条一条都有，需要的话可以全部提交。
说实话钱不算特别多，但是这种做法太欺负人，今天我不站出来讲，明天还会有别人吃同样的亏，希望能从根上管住。
家里老人身体不好，本来瞒着没让知道，后来还是听说了，血压一下子上来，现在还在吃药，这个责任不知道该谁来担。""")
NAMELESS = _words("这家店 这家店 商家 他们家 店里 对方 该店 这家 那家店 这个商家")
NAMELESS_HERE = _words("物业 客服 相关单位 他们 对方")
LEADS, LEADS_HERE = _words("在{m}， {m}的事， 关于{m}， 投诉{m}："), _words("这里归{m}管， {m}负责的片区，")
HERE = _words("我们小区 我们这边 我们这一片 家门口 我们楼 这里")
ORDERS = _words("订单号{}。 单号{}。 订单编号：{}。 （订单{}）")
TRADES = {
    "餐饮": Trade(13, 0.25, (20, 900), "餐饮管理 餐饮服务 食品", "火锅 烤肉 面馆 小吃 茶饮 家常菜 烘焙",
        "酸汤鱼 麻辣烫 牛肉粉 烤鸡 羊肉串 蒸饺 奶盖茶 蛋糕卷 砂锅粥"),
    "健身": Trade(6, 0.3, (600, 9000), "体育发展 健身管理", "健身 瑜伽 游泳馆 拳击馆", "健身年卡 私教课 瑜伽课包 游泳次卡 团操课"),
    "美容": Trade(8, 0.25, (99, 16000), "美容美发 健康管理 医疗美容", "美容 美发 养生馆 皮肤管理", "补水护理 烫发 祛痘疗程 肩颈调理 光子嫩肤 头皮护理"),
    "汽车": Trade(5, 0.2, (300, 180000), "汽车销售 汽车服务 新能源汽车", "汽车 车行 4S店 汽修", "纯电轿车 SUV 混动车 二手车 保养套餐"),
    "教育": Trade(8, 0.25, (800, 24000), "教育科技 教育咨询 文化艺术", "教育 培训 美术 英语 托管", "数学课 英语班 书法课 钢琴课 考证班 暑期托管"),
    "物业": Trade(7, 0.3, (60, 4000), "物业管理 物业服务", "物业", "物业费 停车费 装修押金 公摊费"),
    "公用": Trade(4, 0.15, (50, 2500), "供水 供电 热力 燃气", "水务 供电 热力", "水费 电费 取暖费 燃气费"),
    "通信": Trade(3, 0.2, (39, 1200), "通信 网络工程 宽带", "宽带 通信 营业厅", "家庭宽带 流量套餐 电视盒子", True),
    "电商": Trade(10, 0.1, (19, 2600), "电子商务 网络科技 供应链", "优选 严选 旗舰店 直播间", "保温杯 蓝牙音箱 羽绒背心 坚果礼盒 四件套 儿童手表", True),
    "家居": Trade(6, 0.2, (900, 70000), "家居 建材 装饰工程", "家居 装饰 橱柜 建材", "布艺沙发 实木床 瓷砖 定制衣柜 全屋装修"),
    "旅游": Trade(5, 0.2, (150, 9000), "旅行社 文化旅游 酒店管理", "旅游 旅行社 酒店 民宿", "跟团游 海岛自由行 双人房 亲子套餐 门票"),
    "出行": Trade(3, 0.2, (20, 3000), "航空服务 客运 出行科技", "出行 票务 客运", "机票 大巴票 专车券 船票", True),
    "超市": Trade(7, 0.25, (5, 300), "商贸 超市管理 生鲜", "超市 生鲜 便利店 水果", "鲜牛奶 火腿 车厘子 速冻汤圆 排骨 面包"),
    "家电": Trade(5, 0.2, (80, 7000), "电器 家电服务 电子科技", "家电 电器 数码", "空调 冰箱 油烟机 洗衣机 电热水壶 充电宝"),
    "服饰": Trade(4, 0.2, (59, 2500), "服饰 鞋业", "服饰 鞋店 女装", "羊毛大衣 运动鞋 旗袍 冲锋衣"),
    "药店": Trade(3, 0.3, (10, 500), "医药 大药房", "大药房 药店", "感冒灵 降压片 眼药水 创可贴"),
    "母婴": Trade(3, 0.3, (30, 1500), "母婴用品 孕婴童", "母婴 孕婴", "婴儿奶粉 纸尿裤 米粉 奶瓶"),
    "美妆": Trade(3, 0.2, (39, 1600), "化妆品 日化", "美妆 化妆品", "面霜 口红 防晒霜 染发膏"),
    "宠物": Trade(2, 0.1, (200, 7000), "宠物服务 宠物用品", "宠物 萌宠", "布偶猫 柯基 泰迪 猫粮"),
    "快递": Trade(3, 0.3, (15, 3000), "快递 速运 物流", "快递 速递 驿站", "快件 同城件 大件托运"),
    "网贷": Trade(3, 0.0, (25, 9000), "小额贷款 金融信息 支付科技", "金融 分期 支付", "分期贷款 借款 会员费", True),
    "影音": Trade(3, 0.0, (9, 400), "数字传媒 信息技术", "影视 音乐 云盘", "年度会员 连续包月 点播券", True),
    "房产": Trade(3, 0.1, (5000, 90000), "房地产开发 置业", "地产 置业 楼盘", "商品房 车位 公寓"),
}
ISSUES = (
    Issue("餐中异物", 30, "餐饮", """在{m}点的{p}里夹着[头发|虫子|钢丝球碎屑|塑料片] {d}去{m}吃饭，{p}吃到一半看见[苍蝇|蟑螂腿|一截绳子] {m}后厨不干净，{p}里捞出[蜗牛壳|指甲|虫子]
[孩子|我]被{m}的{p}里一块[碎玻璃|铁片|硬塑料]硌到牙 外卖叫的{m}，打开{p}就看见[小飞虫|毛发]，倒胃口 {m}给的{p}底下沉着[黑色颗粒|沙子|线头]，服务员说洗洗就好
{p}咬下去觉得不对，吐出来是[螺丝|牙签头|木刺]，{m}只愿换一份 花了{a}，{m}端上来的{p}爬着[活虫|小虫]，老板说菜叶有虫正常"""),
    Issue("包装异物", 14, "超市 电商 母婴", """拆开{m}卖的{p}，里面有[虫卵|塑料绳|铁丝] {p}封口好好的，倒出来却混着[碎石|头发|橡胶圈] {d}在{m}买的{p}，咬到[金属片|玻璃渣]
同一批{p}，我家两袋都有[霉斑|活虫]，都是{m}卖的 {m}的{p}里裹着[黑胶块|指甲大的纸片]，厂家电话没人接 {p}底部有[絮状物|不明黏液]，{m}让我联系厂里 邻居在别处买的{p}也有[虫子|异物]，{m}还不下架
孩子吃{p}吐出[硬块|线头]，{m}说生产环节的事""", goods="鲜牛奶 坚果礼盒 速冻汤圆 火腿 米粉", kind="lot"),
    Issue("食后不适", 26, "餐饮", """{d}在{m}聚餐，回家后[一家三口|四个同事]都拉肚子 吃了{m}的{p}当晚[上吐下泻|高烧|肚子绞痛]，进了急诊 {m}的{p}怕是坏的，同桌[三人|五人]先后呕吐
医院写的是[急性胃肠炎|食源性感染]，之前只吃过{m}的{p} 孩子喝了{m}的{p}以后[一直吐|起疹子发烧]，输液花了{a} 从{m}打包的{p}有酸味，老人吃完[脱水|腹泻]住院 {m}冷菜不新鲜，我们公司[十来个|七个]人第二天都请了病假
{p}没熟透，在{m}吃完两小时就[头晕恶心|吐得站不起来]，店长不认"""),
    Issue("储值歇业", 32, "餐饮 美容 超市 美妆", """{m}关门了，卡里还有{a}没用 {d}去{m}发现卷帘门拉着，[会员卡|充的钱]没地方用 {m}贴条说内部装修，[里面已经搬空|隔壁讲是不干了]，余额{a}
才往{m}充{a}，[没用两次|一次没用]门店就停了 {m}收完会员的钱悄悄歇业，[连声招呼都没打|通知都没有] 我在{m}的储值{a}，现在店面在招租 {m}说换地方经营，新地址[根本不存在|不认老卡]
办卡时{m}讲全年无休，如今[大门上锁|灯都拆了]，钱怎么退""", """{m}的老板[失联|电话空号]，办卡的人建了维权群 去派出所问，{m}负责人[已经离开本地|欠了一堆供货款] 法院说{m}[已被立案|账上没钱执行]，我们储值的排在后面
{m}的法人换成了[不认识的老人|外地人]，充值的{a}没人负责""", "储值卡 会员卡 充值卡"),
    Issue("结账加价", 28, "餐饮 旅游 汽车", """{m}结账时比菜单多出{a} 标的是特价，{m}收钱按[原价|另一个价]算 {m}不明码标价，{p}[按份变按斤|最后一算]要{a}
{d}在{m}消费，账单里冒出[茶位费|服务费|耗材费] 事先问好的价，到{m}付款就翻了一倍 {m}趁[节假日|下雨天]涨价，{p}收{a}，墙上还写着老价 我要看明细，{m}收银说[系统打不出来|总数没错]，硬收{a}
{m}门口海报写{p}打五折，结果[限时已过|只限新客]，多付不少"""),
    Issue("过期商品", 30, "超市 药店 母婴", """{m}卖的{p}过了保质期[三天|半个月|一个多月] {d}从{m}买回{p}，一看日期早就过了 {m}把{p}的日期[重新打码|用贴纸盖住]继续卖
老人在{m}买{p}没注意，吃完才发现[已经过期|发霉了] 特价筐里的{p}全是临期过期的，{m}不提醒 {p}打开一股[霉味|哈喇味]，{m}查了说可能漏下架 孩子吃了从{m}买的{p}，袋子上印的日期是[去年|上个月]
拿着过期的{p}回{m}，对方[只退原价|要我证明是他家买的]"""),
    Issue("分量不足", 24, "超市 餐饮", """{m}的秤有问题，{p}回家称少了[二两|半斤] 在{m}买{p}，一斤只有[八两|八两半] {m}把[冰块|水|盒子]算进{p}的重量里
{d}买的{p}拿到公平秤上复称，比{m}标的差一截 {m}称{p}时手[压着秤|动作很快]，不让看数 付了{a}的{p}，到手[明显少|轻飘飘]，{m}说水分蒸发 街坊都讲{m}缺斤短两，这回{p}被我当场抓到
袋装{p}标五百克，实际[四百三|四百五]，{m}说厂家的事"""),
    Issue("闭馆失联", 26, "健身 教育", """{m}突然闭馆，[年卡|课包]还剩大半 {d}到{m}门口，[玻璃门贴着封条|器材搬走了|前台没人] {m}教练说[被拖欠工资|自己也被骗了]，课停了
昨晚{m}还在搞促销收{a}，今早就关门 在{m}买的{p}没上几次，场地[断水断电|租约到期] {m}发通知停业[三天|整顿]，之后再没开过 {m}关了，会员被推到[十公里外|别的品牌]的店，不认次数
孩子的课在{m}停了，老师[集体离职|都不来了]，学费{a}""", """{m}的店长和老板都[失联|把我们拉黑]了 {m}的公司被列入[经营异常|失信名单]，会员登记了几百号 起诉{m}后法院[立案了|要等排期]，律师说财产转走了
街道开会说{m}[资金链断了|在找接盘方]，让我们登记{p}余额"""),
    Issue("退卡难", 24, "健身", """因[怀孕|搬家|受伤]没法去了，{m}不给退{p} {m}合同里藏着[概不退款|扣四成]的条款 销售承诺七天可退，到{m}办手续[不认账|找不到人]
{d}提的申请，{m}让等[四十五个|六十个]工作日 {m}换了[店长|老板]，以前办的{p}说不归他管 教练离职，我要退剩余私教课，{m}只让[换教练|转给别人] 付{a}办的{p}，一次没用，{m}还要收手续费
{m}推说总部审批，[三个月|一拖再拖]没退{a}"""),
    Issue("引流加项", 26, "美容", """说好[九块九|免费]体验，{m}做到一半要加{a} 被拉进{m}，[四五个人围着|锁着门]推销{p} {m}用[皮肤检测仪|放大镜]吓唬人，让我买{p}
{d}路过{m}领小礼品，被劝着[贷了款|刷了信用卡]{a} [女儿|母亲]到{m}体验，出来时办了{a}的卡 脸上涂了药，{m}说不[买解药|加钱]就会烂 躺着动不了，{m}的人拿我手机[付款|点了分期]
{m}团购单价很低，到店说{p}[不含材料|要升级]，花了{a}"""),
    Issue("护理致伤", 22, "美容 美妆", """在{m}做完{p}，[脸肿|起水泡|大面积红斑] {m}的人操作不当，[烫伤头皮|划破眼角|灼伤脖子] 用了{m}的产品以后[过敏|溃烂]，皮肤科看了几次
{m}没有[医疗资质|健康证]就敢打针，现在[脸僵|结节] {d}到{m}护理，回来[睁不开眼|流脓水] 医生说是[化学灼伤|接触性皮炎]，{m}讲是排毒反应 {m}染完头发[大把脱落|头皮结痂]，误工费没人给
治疗已经花了{a}，{m}只肯送几次{p}"""),
    Issue("拖延交车", 20, "汽车", """在{m}订的车过了约定日子[一个月|四十天]还没到 {m}要我[加钱|加装精品]才给提车 交了{a}定金，{m}说[工厂排产|车在路上]，没准信
{d}该交付，{m}的销售[换了人|改口] 车款全付，{m}把合格证[押在银行|弄丢了]，上不了牌 {m}先把我订的车[卖给别人|调去外地]了 {m}给的是[展车|库存车]，我不收就说违约 置换的旧车已经给了{m}，新车没影""", """
{m}展厅[已经搬空|贴了转让]，订车的人都在门口 厂家说{m}[被取消授权|欠着车款]，让我们走法律途径 {m}老板被[经侦带走|限制高消费]，{a}不知道找谁要""", "纯电轿车 SUV 混动车"),
    Issue("新车故障", 20, "汽车", """{m}买的新车开[两周|不到千公里]就[失去动力|趴窝] 高速上仪表全黑，{m}检查完说[没故障码|升级系统] 满电标五百公里，实际[跑不到三百|掉得飞快]，{m}说天冷
{m}修了[四次|三回]，变速箱还是[顿挫|异响] {d}起步时刹车[变硬|失灵]，找{m}不肯出检测报告 {m}交的车[有补漆|是事故车] 充电时[冒烟|报警]，{m}让等厂家 方向盘抖得厉害，{m}讲这批都这样""", goods="纯电轿车 SUV 混动车", kind="lot"),
    Issue("定金不退", 22, "汽车 家居 房产", """给{m}交了{a}定金，[没签合同|第二天]就说不退 {m}收据写的是[订金|意向金]，现在不认 [家里不同意|贷款没过]，请{m}退定金，说是公司规定
{m}销售口头答应随时能退，{d}去退就变脸 {m}催着先付{a}锁[优惠|名额]，反悔一小时都不行 看中的{p}{m}没货，定金却[要转成别的|扣着] {m}让我[再交一笔|换贵的]才抵扣定金 找{m}退{a}，财务[不在|出差]，来了五趟"""),
    Issue("机构停课", 24, "教育", """{m}发消息说停课，[复课时间|退费办法]没有 孩子在{m}的班上到一半老师[不见了|走光了] {m}校区[清空|换了招牌]，家长都在外面 报{m}的{p}交{a}，开课一拖再拖
{d}{m}改成线上，[全是录播|画面都没有] {m}几个班并成一个，[四十人挤一间|不同年级混着] 暑假报{m}，开学前就[停了|搬了]，没退学费 {m}说消防不过关停业，课时一直[冻结着|悬着]""", """
{m}校长[失联|出国]了，家长排队登记 教育局说{m}[没有办学许可|监管账户没钱] {m}的学费官司[判了不执行|刚立案]，{a}要不回 接手{m}的新机构要家长[再补一半|重新交钱]""", "数学课 英语班 书法课 钢琴课 暑期托管"),
    Issue("退课费难", 24, "教育", """孩子不适应，找{m}退{p}剩余的钱被拒 {m}扣掉[资料费|赠课|违约金]后所剩无几 试听一次就想退，{m}说[开了课不退|已建档]
{m}让填[三遍申请表|一堆单子]，{d}还说没收到 签的时候讲不满意全退，{m}的课程顾问[离职了|不承认] 交给{m}{a}，只上[两节|五节]，退款遥遥无期 {m}拿[分期合同|优惠协议]压人，退课还得还贷
{m}同意退，分[十二|八]期打款，打了一次就停"""),
    Issue("承诺落空", 22, "教育 美容 家电 电商", """{m}广告讲[包过|包见效|终身保修]，实际根本没有 冲着{m}说的[名师|专家|专利]买的{p}，查无此人 {m}宣传[三个月见效|省电一半]，{a}花了没变化
当初{m}拍胸脯的[赠品|服务]一样没给 {m}页面写着{p}是[进口|国家认证]，客服拿不出证明 {d}买{p}，{m}说[无效退款|假一赔十]，现在讲因人而异 {m}把宣传单[改了|撤下]，我截过图
{m}直播间吹的{p}和收到的[完全两样|差一大截]"""),
    Issue("停车涨费", 22, "物业", """{m}把停车费[翻倍|涨到每月六百]，没开业主会 {m}贴张纸就涨车位费，不交[抬杆不放|锁车] 地面车位被{m}划走，[只租不售变只售不租|临停按小时]
{d}起{m}按新价收{a}，公示[没有|只有半天] {m}给[外来车|商户]办月卡，业主没地方停 月卡到期{m}不续，逼着买{a}的车位 {m}说涨价经过表决，[签名是假的|没人见过票] 家里第二辆车，{m}要收[三倍|双份]钱""", goods="停车费 车位费"),
    Issue("违规收费", 18, "物业", """{m}收[装修垃圾费|门禁卡费]{a}，没有依据 {m}把[公摊电费|电梯广告钱]算不清，业主买单 不交{m}的费就[停门禁|不给开水] {d}交房，{m}要先交[三年|两年]物业费
{m}保洁[没人做|一周一次]，物业费照涨 {m}扣着装修押金{a}，验收合格也不退 {m}代收水费，[每吨多收一块|不给票据] 地下室渗水报修，{m}反要我[出维修款|分摊]"""),
    Issue("电梯停运", 22, "物业", """{w}电梯[停了一周|天天坏]，住高楼的下不来 {w}的电梯突然[下坠|卡在半层]，关了人 电梯门[夹人|关不上]，{w}的物业说等配件
{d}{w}电梯又停，[老人|孕妇]爬[十八|二十]层 {w}两部电梯坏一部，上班排队半小时 报修{w}的电梯，{m}说[维修基金不够|维保没来] {w}电梯里按铃[没人应|是坏的]，被困四十分钟
年检标志过期，{w}电梯[晃得吓人|有焦味]，{m}照样开""", goods="物业费 公摊费", kind="area"),
    Issue("停水", 20, "公用 物业", """{w}从{d}起没有水，做饭冲厕所都成问题 {w}停水[三天|两天两夜]，没人通知 水管爆了，{w}[整片|几栋楼]断水，抢修不见人 {w}水压太小，[五楼以上|白天]放不出来
{m}说夜里恢复，{w}到现在还是干的 每天只供[两小时|早晚一阵]，{w}怎么过日子 {w}二次供水泵坏了，{m}和物业互相推 提着桶到[隔壁|楼下消防车]接水，{w}已经这样好些天""", goods="水费", kind="area"),
    Issue("停电", 20, "公用 物业", """{w}[半夜|傍晚]忽然没电，冰箱里东西全坏 {w}一天跳闸[五六次|十几回]，空调开不了 {d}起{w}断电，[呼吸机|鱼缸]都靠借来的电 变压器[烧了|负荷不够]，{w}黑了一整晚
{m}电话里说在抢修，{w}等到天亮没来电 {w}电压不稳，[电脑|电视]烧坏了 {w}没有停电公告，电梯里还困着人 这么热的天{w}停电[二十小时|两晚]，{m}连个时间都没有""", goods="电费", kind="area"),
    Issue("水质浑浊", 16, "公用 物业", """{w}自来水[发黄|像泥汤]，没法喝 {w}的水烧开有[白沫|铁锈渣] 龙头放出来一股[消毒水味|腥味]，{w}家家如此 {d}开始{w}水里有[小红虫|黑点]
{w}水箱[多年没洗|盖子敞着]，{m}不给看检测单 用{w}的水洗澡[身上痒|起疹子]，孩子不敢用 {w}净水器滤芯[三天就黑|堵死]，以前没有过 接一盆水放着，{w}这里底下一层[沙|泥]，{m}说管道老化""", goods="水费", kind="area"),
    Issue("暖气不热", 16, "公用 物业", """{w}暖气[冰凉|只有一点温]，屋里[十二度|穿棉袄] 供暖开始半个月了，{w}还没热 {w}交了{a}取暖费，[半夜就停|时有时无]
{m}上门测温[挑中午|开着空调]测，{w}的数不实 {w}[顶楼|边户]一直不热，放气也没用 管网漏了，{w}[几栋|整个片区]没暖气，孩子冻感冒 {m}说是支管堵，让{w}的住户自己[洗|换] {d}起{w}暖气停了，客服说[压力低|锅炉检修]""", goods="取暖费", kind="area"),
    Issue("施工噪音", 20, "物业 房产", """{w}旁边工地[凌晨两点|通宵]还在打桩 {w}夜里[渣土车|切割声]不断，高考生没法睡 {m}的工程队天不亮就[敲墙|浇筑]，{w}都被吵醒
{d}晚上{w}施工到[一点|三点]，报警停一会又来 {w}窗户[震得响|裂了缝]，噪声测出七十多分贝 {w}楼下装修[周末不停|钻了半个月] {w}外面[修路|挖沟]的机器整夜开着，说有夜间许可 老人[心脏不好|神经衰弱]，{w}工地一点不收敛""", goods="商品房", kind="area"),
    Issue("异味扰民", 16, "物业 餐饮", """{w}[垃圾房|化粪池]臭气往屋里灌 {w}一到晚上有股[塑料烧焦|农药|油漆]味，头疼 {w}下水道返味，[卫生间|厨房]待不住人
{m}的油烟管对着{w}的窗户，[衣服|被子]都是味 {d}起{w}空气[刺鼻|发酸]，不敢开窗 {w}后面的[河沟|污水井]冒黑水，苍蝇成堆 {w}[孕妇|小孩]闻了就吐，{m}喷点香精了事 {w}的[垃圾站|泵房]没人清，老远就闻到""", goods="物业费", kind="area"),
    Issue("宽带中断", 14, "通信", """{w}的宽带断了[四天|一星期]，报障没人来 {w}整栋楼上不了网，{m}说[光缆被挖断|端口坏了] {d}开始{w}网速[只有零头|一会有一会没]，孩子网课上不成
{w}的网一到晚上就掉，{m}让重启光猫 师傅约了[三回|两次]都没到{w} {m}在{w}独家进场，断网也换不了别家 {w}停网这么久，{m}照扣月租{a} 商户收不了款，{w}断网[两天|多日]损失谁管""", goods="家庭宽带", kind="area"),
    Issue("迟不发货", 26, "电商 家居 服饰", """{m}卖的{p}拍下[二十天|一个月]没发 付了{a}，{m}客服天天说[明天发|在排单] {m}填了个[空单号|假物流]，查不到货
{d}的订单，{m}显示[打包中|已揽收]不动 预售到期{m}又[延|改]了三次 催{m}发{p}，先是[缺货|爆仓]，后来不回了 要退款{m}[拒绝|拖着不点]，说已出库 {m}的{p}活动款不发，[原价的倒有|让补差价]""", """
{m}店铺[下架|搜不到]了，钱还压着 {m}客服[全是机器人|解散了]，群里都没收到货 平台说{m}[保证金不够|已清退]，{a}让自己起诉"""),
    Issue("砍单", 20, "电商 出行", """抢到{m}的优惠，[半夜|付款后]被取消订单 {m}说价格[标错|系统异常]，单方退款不赔 {d}大促下的单，{m}以[库存不足|地址异常]取消，转头涨价
{m}取消我的{p}，[券|积分]没还 {m}发短信说[超卖|风控]，不给补货 同一款{p}{m}砍了我的单，[原价还在卖|别人发了] {m}先确认后反悔，{a}的单子说没就没 {m}客服让自己点取消，[骗说会补发|不点就拖着]"""),
    Issue("售假", 26, "电商 服饰 美妆 家电", """{m}卖的{p}是假的，[专柜不认|鉴定没过] {m}号称[正品|授权店]，{p}做工粗糙 {p}上的防伪码[扫不出|被查过上百次]，{m}说换了包装
{d}从{m}买{p}花{a}，和真的一比[标都不一样|气味不对] {m}拿不出[进货票|授权书] 品牌官方回复{m}[不是经销商|未授权]，{p}涉嫌假冒 {m}退一赔三的牌子挂着，真有假货就[装糊涂|要自费鉴定]
{m}给的{p}[序列号|批次]对不上，用了掉色"""),
    Issue("拒退换", 26, "电商 服饰 家电 家居", """{p}[尺寸不对|有划痕|色差大]，{m}不给退 {m}说[拆了封|剪了吊牌|活动价]就不能退 签收第二天申请退{p}，{m}[驳回|不理]
{m}收到退件又讲[少配件|有使用痕迹]，扣{a} {d}在{m}买的，三天内去退，只给[购物卡|换货] {m}运费险不赔，退{p}要我[出来回运费|承担折旧] 七天无理由到{m}这儿变成[有理由也不退|店长签字才行]
{m}把{p}退回给我，[拒收也扣费|说超时]"""),
    Issue("装修停工", 20, "家居", """{m}装到一半停了，[水电刚完|墙还没刷] 付给{m}[七成|八成]款后工人不来 {m}的项目经理[换了三个|只会说在协调] {d}该完工，{m}连[瓷砖|柜子]都没进场
{m}增项[一张接一张|没完]，不加钱就停 工人说{m}[欠工钱|不给材料]，撂挑子 新房租着别处住，{m}拖了[四个月|半年] {m}用的[板材|电线]不是合同上的，要求返工就停""", """
{m}门店[人去楼空|搬得只剩桌子]，业主[上百户|几十家] {m}老板[被限高|手机停机]，工地钥匙都没还 {m}申请[破产|清算]，让业主申报{a}债权""", "全屋装修 定制衣柜"),
    Issue("家居质量", 18, "家居", """{m}的{p}味道大，[甲醛测出超标|孩子流鼻血] 从{m}买的{p}才[三个月|半年]就[开裂|塌陷|掉皮] {m}说是[纯实木|头层皮]，拆开是[密度板|人造革]
{p}装得歪，{m}的师傅[硬打胶|锯短]了事 {d}送来的{p}和样品[颜色|材质]不同，{m}说批次差 {m}的{p}[抽屉拉不出|门合不上]，售后约不到 花{a}做的{p}[发霉|鼓包]，{m}怪我家潮
{m}保修五年，真报修就说[人为|过了质保]"""),
    Issue("强迫购物", 18, "旅游", """跟{m}的团，导游[不买不让走|骂人] {m}行程里塞进[玉石|乳胶|药材]店，一待两小时 {m}写着纯玩，实际[进店六次|自费项目一堆]
{d}随{m}出游，导游按人头要[三千|两千]消费 [老人|我妈]在{m}安排的店里买了{a}的东西 不肯买，{m}的导游[把车停半路|扔下我们] {m}低价团，到地方[换酒店|减景点]逼着加钱 买的[镯子|床垫]要退，{m}和店家互推""", goods="跟团游 海岛自由行"),
    Issue("退订不退", 20, "旅游 出行", """{m}的{p}还没用，取消[一分不退|只退三成] 因[生病|台风|航班取消]改不了行程，{m}不退 提前[十天|一周]退，{m}收{a}手续费
{m}页面写免费取消，点了才说[不可取消|要扣首晚] {d}到{m}[没有房|查不到订单]，退款推给平台 {m}单方换[日期|酒店]，不同意也不退钱 退{m}的{p}，客服让找[航司|供应商]，转了一圈 {m}说[发券代替|存着下次用]，我要现金"""),
    Issue("行程滞留", 18, "出行 旅游", """{m}延误[九个|十几个]小时，没吃没住 {d}{m}的[航班|班次]取消，几百人滞留大厅 {m}[半路甩客|中途换车]，老人孩子站着 {m}不说原因，一会[天气|调度]一会机械
等到凌晨，{m}柜台[没人|关灯]了 改签{m}要[加价|排到后天]，误了[考试|手术] {m}广播说安排酒店，[车都没来|四人一间] {m}的票[退不了|只退一半]，{p}白花{a}"""),
    Issue("维修乱价", 18, "家电 汽车", """{m}上门修{p}，[拧个螺丝|换个电容]要{a} {m}的师傅先拆后报价，不修也收[拆机费|检测费] 没坏的[主板|压缩机]被{m}换掉，旧件不还
{d}找{m}修{p}，两天又坏，[不认保修|再收一次] 搜官方电话打到{m}，是[冒牌售后|外包] {m}加[氟|油]按[斤|格]乱报，一算{a} {m}开的单子没[项目|章]，要明细就翻脸
修前说[八十|一百五]，修完{m}讲[零件进口|高空费]"""),
    Issue("电器起火", 16, "家电 电商", """{m}卖的{p}充电时[冒烟|炸了] {p}用着用着[起火|短路]，烧了[床|插座|半面墙] 从{m}买的{p}外壳烫手，[线烧化|鼓包]
{d}半夜{p}自己着了，{m}说没按说明用 消防认定是{p}[内部故障|电池问题]，{m}推厂家 {p}漏电把[手|孩子]打了，{m}让寄回检测 {m}同一批{p}网上好几起[自燃|爆裂]，还在卖
{p}一股[焦糊味|黑烟]，{m}只肯换新，{a}损失不赔""", goods="充电宝 电热水壶 儿童手表 油烟机", kind="lot"),
    Issue("丢件损件", 20, "快递", """{m}把我的{p}弄丢了，只赔[运费|三十块] {m}显示签收，[没人联系过|放哪都不知道] {p}到手[压扁|漏了|碎了]，{m}说没保价
{d}寄的{p}在{m}中转站[不动了|转丢了] {m}驿站[找不到件|让自己翻]，超时还收保管费 {m}快递员[扔门口|代签]，东西不见 {p}值{a}，{m}要[购买凭证|原始发票]才理 投诉{m}网点，[踢回总部|自动结案]"""),
    Issue("自动续费", 18, "影音 通信", """{m}没提醒就扣了{a} 试用一元，{m}[次月|到期]按原价自动扣 {m}取消入口[藏着|点了没反应] {d}查账单，{m}已经扣了[五个月|一年]
从没开过{m}的{p}，每月少钱 老人手机被{m}[套餐绑定|误触]开了{p} {m}注销了还扣，客服[排队八十人|让找应用商店] {m}的退款要[人脸|身份证照片]，只退最近一次"""),
    Issue("暴力催收", 16, "网贷", """{m}给我[单位|亲戚]打电话说欠钱 {m}一天[几十|上百]个电话，换号骂人 借{a}到手[少两成|先扣服务费]，{m}按全额催 {m}发[P的照片|假律师函]吓唬家里老人
还清了{m}还说[有滞纳金|没结清] {d}起{m}的人[上门堵|加我同事微信] {m}年化算下来[百分之四十|高得离谱]，协商不理 不是我借的，{m}[查不到合同|冒名]照样催"""),
    Issue("奶粉异常", 14, "母婴", """{m}买的{p}[结块|颜色发灰]，宝宝喝了拉稀 {p}里有[黑点|活虫]，{m}说是冲法不对 宝宝吃了{m}的{p}[起疹|吐奶]，儿科让停 {d}开罐就[有怪味|没密封]，{m}不退
{p}[追溯码|批号]查不到，{m}支支吾吾 {m}卖的{p}和上一罐[溶得不一样|味道两样]，怕是假的 同群妈妈在{m}买的{p}也[不消化|便血] {p}罐底有[锈|凹坑]，{m}讲运输碰的，{a}一罐""", goods="婴儿奶粉 米粉", kind="lot"),
    Issue("药品疑问", 14, "药店", """{m}的{p}吃了[没效|心慌]，包装也和以前不同 {p}[铝箔松了|颜色不对]，{m}说厂家改版 {m}卖的{p}[没有批准文号|说明书糊的]
{d}在{m}买{p}，刷医保却[换成保健品|多刷{a}] {p}打开[受潮|碎成粉]，{m}不给换 老人用了{m}的{p}[血压反高|眼睛肿] 药监网查不到{p}这个[批次|厂]，{m}拿不出随货单 {m}没[药师|处方]就卖，吃了{p}进医院""", kind="lot"),
    Issue("活体病亡", 14, "宠物", """{m}买的{p}到家[三天|一周]就[死了|发病] {m}保证健康，一查[犬瘟|猫瘟|细小] {p}的疫苗本是{m}[伪造|补填]的 {d}接回{p}一直[拉血|抽搐]，治了{a}
{m}说应激，[拖过保障期|让喂葡萄糖] {m}给的{p}[品种不纯|年龄不对] 寄养在{m}，{p}[摔断腿|丢了] 要退{p}，{m}只让[加钱换一只|自己治]""", goods="布偶猫 柯基 泰迪"),
    Issue("延期交房", 18, "房产", """{m}的房子过了交付期[一年|八个月]没动静 {m}楼盘[塔吊不转|工人撤了] 合同写[六月|年底]交，{m}又发[延期告知|疫情函] {d}去看，{m}的[外墙|电梯]都没装
{m}交的房[漏水|没通气]就催收房 {m}学校[配套|地铁]的承诺没了，房也没有 每月还贷{a}，{m}的房还是毛坯架子 {m}要我们签[补充协议|放弃违约金]才给钥匙""", """{m}的[监管资金|工程款]被挪用，业主在维权
{m}账户被法院[冻结|查封]，保交楼名单没有我们 听说{m}要[破产重整|换总包]，两百户签了联名信""", "商品房 公寓"),
)
# fmt: on
SENTENCES = {issue.name: issue.texts.split() for issue in ISSUES}
LATER = {issue.name: issue.late.split() for issue in ISSUES}
SOUNDS = {sign: group.replace(sign, "") for group in SYLLABLES for sign in group}
SLIPS = {sign: "".join(group for group in CONFUSED if sign in group).replace(sign, "") for sign in "".join(CONFUSED)}
SHORT = {place.city: re.sub("(土家族苗族|柯尔克孜|哈萨克)?(自治州|市|地区)$", "", place.city) for place in PLACES}
TOWN = {city: [place for place in PLACES if place.city == city] for city in SHORT}
CROWD, HOURS = list(accumulate(CROWDS.tolist())), list(accumulate(WAKING))
Spot = tuple[str, Place]


def stream(count: int, seed: int, *, noise: Noise = NOISES["ordinary"]) -> Stream:
    """Complaints of a year in order of time, and the register of merchants; equal arguments give equal streams."""
    rng = Random(seed)
    merchants = _open(rng, count)
    cases = _Docket(rng, count, merchants).plan()
    rows = [row for case in cases for row in _file(rng, case, noise)]
    _assign_serial(rng, rows)
    rows.sort(key=lambda row: (row.filed_at, row.person_id))
    persons, incidents = dict[int, int](), dict[int, int]()
    for cid, row in enumerate(rows):
        # Numbers by first appearance tell nothing of how the stream was made.
        row.cid = cid
        row.person_id = persons.setdefault(row.person_id, len(persons))
        row.incident_id = incidents.setdefault(row.incident_id, len(incidents))
    return Stream(rows, [merchant.registered() for merchant in merchants])


def write(path: Path, rows: Sequence[Filed]) -> None:
    """The complaints as a Parquet file; times are China's, without a zone."""
    import duckdb

    table = {field.name: np.array([getattr(row, field.name) for row in rows], dtype=object) for field in fields(Filed)}
    for name in ("cid", "person_id", "incident_id", "merchant_id", "shop_id"):
        table[name] = table[name].astype(np.int64)
    table["filed_at"] = np.array([row.filed_at.replace(tzinfo=None) for row in rows], dtype="datetime64[us]")
    table["event_date"] = np.array([row.event_date for row in rows], dtype="datetime64[us]")
    # Cast: a column's type is else guessed from its values.
    texts = ", ".join(f"{name}::VARCHAR AS {name}" for name in ("merchant", "product", "city", "district", "lot_no"))
    with duckdb.connect() as connection:
        connection.register("filed", table)
        connection.sql(f"SELECT * REPLACE (event_date::DATE AS event_date, {texts}) FROM filed").write_parquet(str(path))


@dataclass(slots=True, eq=False)
class _Merchant:
    """`brand` is the last one; until day `since` it was `former`."""

    number: int
    trade: str
    home: Place
    sounds: str
    brand: str
    former: str
    since: int
    firm: str
    word: str
    form: str
    uscc: str
    chain: bool
    pull: float
    shops: list[Spot]

    def full(self, brand: str) -> str:
        return f"{SHORT[self.home.city]}{brand}{self.firm}{self.form}"

    def registered(self) -> Registered:
        aliases = [self.brand, self.brand + self.word]
        if self.since:
            aliases += [self.full(self.former), self.former, self.former + self.word]
        name, shops = self.full(self.brand), tuple(shop for shop, _ in self.shops)
        return Registered(self.number, self.uscc, name, tuple(aliases), shops, self.home.city, self.trade, self.chain)


@dataclass(slots=True, eq=False)
class _Case:
    """An incident, or a complaint that stands alone; it comes in bursts of (first day, length in days)."""

    number: int
    scope: str
    issue: Issue
    merchants: tuple[_Merchant, ...]
    shop: int
    spot: Spot | None
    product: str
    lot: str
    bursts: list[tuple[float, float]]
    size: int
    drifts: bool


def _open(rng: Random, count: int) -> list[_Merchant]:
    """Merchants in proportion to the complaints, at least one a trade; their brands come from one deck."""
    deck = list(dict.fromkeys(_sounds(rng) for _ in range(BRANDS * 3)))[:BRANDS]
    merchants: list[_Merchant] = []
    shares = [trade.share for trade in TRADES.values()]
    for number in range(max(len(TRADES), round(MERCHANTS * count))):
        trade = rng.choices(list(TRADES), shares)[0] if number >= len(TRADES) else list(TRADES)[number]
        home, sounds = _anywhere(rng), deck[number % BRANDS]
        if number >= len(TRADES) and rng.random() < TWINS:
            # Of the trade and the sound of another, half of them in its city.
            model = rng.choice(merchants)
            trade, sounds = model.trade, model.sounds
            home = rng.choice(TOWN[model.home.city]) if rng.random() < 0.5 else home
        brand, former, since, row = _brand(rng, sounds), "", 0, TRADES[trade]
        if rng.random() < RENAMED:
            brand, former, since = _brand(rng, _sounds(rng)), brand, rng.randrange(120, 245)
        # Without any chain a short stream could not have its share of their incidents.
        chain, kind = not number or rng.random() < row.chains, rng.randrange(12)
        firms, words = row.firms.split(), row.shops.split()
        merchants.append(_Merchant(
            number, trade, home, sounds, brand, former, since, firms[kind % len(firms)], words[kind % len(words)], rng.choice(FORMS),
            _uscc(rng, "91" + home.code), chain, min(30.0, rng.paretovariate(1.15)) * (3 if chain else 1),
            _shops(rng, home, chain, row.remote),
        ))  # fmt: skip
    return merchants


def _anywhere(rng: Random) -> Place:
    return rng.choices(PLACES, cum_weights=CROWD)[0]


def _sounds(rng: Random) -> str:
    """A brand by its sound, in usual signs."""
    core = "".join(group[0] for group in rng.sample(SYLLABLES, rng.choice((2, 2, 2, 3, 3))))
    ahead, after = rng.random() < 0.1, rng.random() < 0.15
    return (rng.choice(AHEAD) if ahead else "") + core + (rng.choice(AFTER) if after else "")


def _brand(rng: Random, sounds: str) -> str:
    return "".join(rng.choice(SOUNDS[sign]) if SOUNDS.get(sign) and rng.random() < 0.4 else sign for sign in sounds)


def _shops(rng: Random, home: Place, chain: bool, remote: bool) -> list[Spot]:
    """Named after where they are: a chain's in many cities, others' at home; one that is alone has no name."""
    size = int(4 * 10.2 ** rng.random()) if chain else 0 if remote or rng.random() < 0.8 else rng.randint(2, 3)
    names = dict.fromkeys(_spot(rng) + "店" for _ in range(size))
    return [(name, _anywhere(rng) if chain and rng.random() < 0.5 else rng.choice(TOWN[home.city])) for name in names]


def _spot(rng: Random) -> str:
    if rng.random() < 0.6:
        return rng.choice(STEMS) + rng.choice(KINDS)
    return rng.choice(ROADS.split()) + rng.choice(ROAD_KINDS.split())


class _Docket:
    """Cases as they are laid out: like matters are QUIET days apart, else no one could tell them apart."""

    def __init__(self, rng: Random, count: int, merchants: list[_Merchant]) -> None:
        self.rng, self.count = rng, count
        self.cases: list[_Case] = []
        self.filed = dict.fromkeys([*SCOPES, "single"], 0)
        self.taken: defaultdict[tuple[object, str], list[tuple[float, float, int]]] = defaultdict(list)
        self.pools: dict[tuple[str, bool], tuple[list[_Merchant], list[float]]] = {}
        self.alike: defaultdict[tuple[str, str], list[_Merchant]] = defaultdict(list)
        self.towns: defaultdict[tuple[str, str], list[_Merchant]] = defaultdict(list)
        for trade in TRADES:
            those = [merchant for merchant in merchants if merchant.trade == trade]
            chains = [merchant for merchant in those if merchant.chain]
            for key, pool in ((False, those), (True, chains or those)):
                self.pools[trade, key] = pool, list(accumulate(merchant.pull for merchant in pool))
            for merchant in those:
                self.alike[trade, merchant.sounds].append(merchant)
                self.towns[trade, merchant.home.city].append(merchant)

    def plan(self) -> list[_Case]:
        for scope, share in SCOPES.items():
            goal = round(share * self.count)
            while self.filed[scope] < goal:
                size = min(int(2 * self.rng.random() ** (-1 / TAIL)), MOST, self.count // 12, goal - self.filed[scope])
                if case := self.incident(scope, max(2, size)):
                    self.distract(case)
        while sum(self.filed.values()) < self.count:
            self.single()
        left = self.count
        # The shortest streams were laid out too long.
        for case in self.cases:
            case.size = min(case.size, left)
            left -= case.size
            if case.size == 1:
                case.scope = "single"
        return [case for case in self.cases if case.size]

    def pick(self, trades: str, chain: bool = False) -> _Merchant:
        pool, pulls = self.pools[self.rng.choice(trades.split()), chain]
        return self.rng.choices(pool, cum_weights=pulls)[0]

    def issue(self, kind: str) -> Issue:
        """One that the scope can have: those of areas have no other."""
        fit = [issue for issue in ISSUES if (issue.kind == kind if kind in ("area", "lot") else issue.kind != "area")]
        return self.rng.choices(fit, [issue.weight for issue in fit])[0]

    def incident(self, scope: str, size: int) -> _Case | None:
        rng, issue = self.rng, self.issue(scope)
        merchant = self.pick(issue.trades, chain=scope == "chain" or (scope == "shop" and rng.random() < 0.25))
        if scope == "lot":
            sellers = dict.fromkeys(self.pick(issue.trades) for _ in range(min(size, rng.randint(2, 9))))
            return self.lay(issue, *sellers, size=size, product=self.made(issue, merchant), lot=True)
        if scope == "chain" and not merchant.chain:
            return None
        spot = self.place(merchant) if scope == "area" else None
        return self.lay(issue, merchant, spot=spot, shop=self.branch(merchant) if scope == "shop" else -1, size=size)

    def single(self) -> None:
        rng, issue = self.rng, self.issue("area" if self.rng.random() < 0.06 else "")
        merchant = self.pick(issue.trades)
        if issue.kind == "area":
            self.lay(issue, merchant, spot=self.place(merchant))
        elif issue.kind == "lot" and rng.random() < 0.5:
            self.lay(issue, merchant, product=self.made(issue, merchant), lot=True)
        else:
            self.lay(issue, merchant, shop=self.branch(merchant) if not merchant.chain or rng.random() < 0.5 else -1)

    def distract(self, case: _Case) -> None:
        """What looks like the incident: each kind most times, one complaint or a few of them."""
        rng, issue, first = self.rng, case.issue, case.merchants[0]
        start, end = case.bursts[0][0], sum(case.bursts[-1])

        def beside(issue: Issue, merchant: _Merchant, at: float = -1, **where: Any) -> None:
            if rng.random() < 0.65:
                at = at if at >= 0 else rng.uniform(start, end)
                self.lay(issue, merchant, at=at, size=rng.choice((1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3)), **where)

        later = rng.uniform(end + 60, DAYS - 20) if end < DAYS - 90 else rng.uniform(20, start - 60)
        area = issue.kind == "area"
        others = [
            one for one in ISSUES if first.trade in one.trades.split() and one is not issue and area == (one.kind == "area")
        ]
        if case.lot:
            for product in (case.product, case.product, self.made(issue, first)):
                beside(issue, rng.choice(case.merchants), product=product, lot=True)
            return
        if others:
            beside(rng.choice(others), first, spot=case.spot, shop=case.shop)
        beside(issue, first, at=later, spot=case.spot, shop=case.shop)
        if case.spot:
            beside(issue, first, spot=(_spot(rng), case.spot[1]))
            return
        for pool in (
            self.alike[first.trade, first.sounds],
            self.towns[first.trade, first.home.city],
            self.pools[first.trade, False][0],
        ):
            if (rival := rng.choice(pool)) is not first:
                beside(issue, rival, shop=self.branch(rival))
        if len(first.shops) > 1 and case.shop >= 0:
            beside(issue, first, shop=(case.shop + rng.randrange(1, len(first.shops))) % len(first.shops))

    def lay(self, issue: Issue, *merchants: _Merchant, spot: Spot | None = None, shop: int = -1, size: int = 1, at: float = -1,
            product: str = "", lot: bool = False) -> _Case | None:  # fmt: skip
        """A case, unless another of its kind is too near in time; lots are told apart by their numbers."""
        first, bursts = merchants[0], self.spread(size, at)
        start, end = bursts[0][0], sum(bursts[-1])
        keys: list[object] = [(spot[0], spot[1].code)] if spot else [merchant.number for merchant in merchants]
        if start < 0 or end > DAYS or not (lot or all(self.free(self.taken[key, issue.name], start, end, shop) for key in keys)):
            return None
        for key in keys:
            self.taken[key, issue.name].append((start, end, shop))
        scope = "area" if spot else "lot" if lot else "chain" if first.chain and shop < 0 else "shop"
        scope = scope if size > 1 else "single"
        drifts = bool(issue.late) and size > 3 and end - start > 4
        product = product or self.goods(issue, first)
        made = START + timedelta(days=start - self.rng.uniform(20, 200))
        number = f"{made:%Y%m%d}{self.rng.choice('ABCDEFGH')}{self.rng.randrange(100):02d}" if lot else ""
        case = _Case(len(self.cases), scope, issue, merchants, shop, spot, product, number, bursts, size, drifts)
        self.cases.append(case)
        self.filed[scope] += size
        return case

    @staticmethod
    def free(taken: list[tuple[float, float, int]], start: float, end: float, shop: int) -> bool:
        """A matter of the whole merchant is as near as one of the same shop."""
        return all(
            start > last + QUIET or end < first - QUIET or (shop != other and shop >= 0 and other >= 0)
            for first, last, other in taken
        )

    def spread(self, size: int, at: float) -> list[tuple[float, float]]:
        """Mostly one burst of 3 to 25 days; some larger incidents last long, with gaps."""
        rng = self.rng
        if size == 1:
            return [(at if at >= 0 else rng.random() * DAYS, 0.0)]
        if at >= 0:
            return [(at, rng.uniform(1, 8))]
        if size > 4 and rng.random() < 0.08:
            bursts, gaps = [(0.0, rng.uniform(3, 20))], rng.randint(1, 2)
            for _ in range(gaps):
                bursts.append((sum(bursts[-1]) + rng.uniform(15, 80 if gaps == 1 else 40), rng.uniform(2, 15)))
        else:
            bursts = [(0.0, rng.uniform(25, 50) if rng.random() < 0.04 else 3 + 22 * rng.random() ** 1.7)]
        start = rng.random() * (DAYS - sum(bursts[-1]))
        return [(start + offset, length) for offset, length in bursts]

    def branch(self, merchant: _Merchant) -> int:
        return self.rng.randrange(len(merchant.shops)) if merchant.shops else -1

    def place(self, merchant: _Merchant) -> Spot:
        return _spot(self.rng), self.rng.choice(TOWN[merchant.home.city])

    def made(self, issue: Issue, merchant: _Merchant) -> str:
        """A product with its maker's brand: lots are sold by many merchants."""
        return "".join(group[0] for group in self.rng.sample(SYLLABLES, 2)) + self.goods(issue, merchant)

    def goods(self, issue: Issue, merchant: _Merchant) -> str:
        return self.rng.choice((issue.goods or TRADES[merchant.trade].goods).split())


def _file(rng: Random, case: _Case, noise: Noise) -> list[Filed]:
    """The complaints of a case, by people who live where its customers do; a few of them file twice."""
    start, end = case.bursts[0][0], sum(case.bursts[-1])
    weights = [length + 1 for _, length in case.bursts]
    rows: list[Filed] = []
    homes: list[Place] = []
    for turn in range(case.size):
        merchant = case.merchants[turn] if turn < len(case.merchants) else rng.choice(case.merchants)
        offset, length = rng.choices(case.bursts, weights)[0]
        day = offset + length * rng.betavariate(1, 1.6)
        seconds = 3600 * bisect(HOURS, rng.random() * HOURS[-1]) + rng.randrange(3600)
        moment = START + timedelta(days=min(int(day), DAYS - 1), seconds=seconds)
        again = rng.randrange(turn) if turn and rng.random() < 0.03 else -1
        person = rows[again].person_id if again >= 0 else case.number * (MOST + 1) + turn
        homes.append(homes[again] if again >= 0 else _home(rng, case, merchant))
        event = moment.date() - timedelta(days=rng.choice((0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 7)))
        progress = (day - start) / (end - start) if end > start else 0.0
        product = _product(rng, case, merchant)
        filled = rng.random() >= (AREA_MISSING if case.spot and noise.merchant_missing else noise.merchant_missing)
        field = _called(rng, case, merchant, (moment - START).days, noise, 0.3) if filled else None
        named = rng.random() >= (1 - AREA_NAMED if case.spot else noise.shy if filled else noise.unnamed)
        text = _tell(rng, case, merchant, moment, event, product, progress, named, noise)
        if rng.random() < noise.product_wrong:
            product = rng.choice(TRADES[merchant.trade].goods.split())
        told = rng.random() >= noise.city_missing
        rows.append(Filed(
            0, moment, text, field, product if rng.random() >= noise.product_missing else None, homes[-1].city if told else None,
            homes[-1].district if told and rng.random() >= noise.district_missing else None,
            event if rng.random() >= noise.event_missing else None,
            case.lot if case.lot and rng.random() >= noise.lot_missing else None,
            person, case.number, merchant.number, case.shop, case.issue.name, case.scope,
        ))  # fmt: skip
    return rows


def _home(rng: Random, case: _Case, merchant: _Merchant) -> Place:
    """Where the complainant lives: by the matter, else by whom the merchant serves."""
    if case.spot:
        return case.spot[1]
    shop = merchant.shops[case.shop][1] if case.shop >= 0 else merchant.home
    near = 0.3 if case.lot or TRADES[merchant.trade].remote else 0.95
    if merchant.chain:
        near = min(near, 0.8 if case.shop >= 0 else 0.35)
    if rng.random() >= near:
        return _anywhere(rng)
    return shop if rng.random() < 0.85 else rng.choice(TOWN[shop.city])


def _product(rng: Random, case: _Case, merchant: _Merchant) -> str:
    """What was bought: of a lot at times without its maker, of others often the incident's usual thing."""
    if case.lot or rng.random() < 0.9:
        return case.product[MAKER if case.lot and rng.random() < 0.2 else 0 :]
    return rng.choice((case.issue.goods or TRADES[merchant.trade].goods).split())


def _called(rng: Random, case: _Case, merchant: _Merchant, day: int, noise: Noise, full: float) -> str:
    """The merchant's name as someone writes it: registered, by its brand, with its trade, with its shop."""
    renamed = merchant.since and (day < merchant.since or rng.random() < 0.25)
    brand = merchant.former if renamed else merchant.brand
    if rng.random() < noise.homophone:
        brand = _put(rng, brand, SOUNDS)
    shop = merchant.shops[case.shop][0] if case.shop >= 0 and rng.random() >= noise.suffix_missing else ""
    form = (rng.random() - full) / (1 - full)
    if form < 0:
        name = merchant.full(brand)
    elif form < 0.36:
        name = brand
    elif form < 0.74:
        name = brand + merchant.word
    elif form < 0.88:
        name = f"{brand}{merchant.firm}公司"
    else:
        name = f"{SHORT[merchant.home.city]}{brand}{merchant.word}" if form < 0.94 or shop else f"{brand}{merchant.word}店"
    return name + (rng.choice((f"（{shop}）", shop, f"-{shop}")) if shop else "")


def _tell(rng: Random, case: _Case, merchant: _Merchant, moment: datetime, event: date, product: str, progress: float,
          named: bool, noise: Noise) -> str:  # fmt: skip
    """One or two sentences on the matter among what else people write; later ones tell of later things."""
    issue, length = case.issue, rng.random()
    late = 0.85 * progress if case.drifts else 0.1 if issue.late else 0.0
    pool = LATER[issue.name] if rng.random() < late else SENTENCES[issue.name]
    told = rng.sample(pool, 2 if length > 0.7 else 1)
    if named and "{m}" not in told[0]:
        told[0] = rng.choice(LEADS_HERE if case.spot else LEADS) + told[0]
    parts = ["。".join([told[0], *(sentence.replace("{m}", "{n}") for sentence in told[1:])]), "。"]
    if length > 0.08:
        parts.insert(0, rng.choice(OPENERS) if rng.random() < 0.55 else "")
        parts += rng.sample(REMARKS, rng.choice((0, 0, 0, 1, 1, 2)) + 2 * (length > 0.97))
        parts += [rng.choice(ORDERS).format(rng.randrange(10**8, 10**11))] if rng.random() < 0.1 else []
        parts += rng.sample(LENGTHY, rng.randint(1, 4)) if length > 0.97 else []
        parts += [f"[批号|生产批次]{case.lot}。"] if case.lot and rng.random() < 0.5 * (1 - noise.lot_missing) else []
        parts += [rng.choice(DEMANDS)] if rng.random() < 0.45 else []
    nameless = rng.choice(NAMELESS_HERE if case.spot else NAMELESS)
    name = _called(rng, case, merchant, (moment - START).days, noise, 0.08) if named else nameless
    place = rng.choice(HERE)
    if case.spot and rng.random() >= noise.place_missing:
        place = f"[||{SHORT[case.spot[1].city]}|{case.spot[1].district}]{case.spot[0]}[|||附近|这边]"
    gap = (moment.date() - event).days
    day = f"{event.month}月{event.day}"
    days = {0: "今天 今天 今早", 1: "昨天 昨晚", 2: "前天"}.get(gap, "前几天") + f" {day}日 {day}号 {event.year}年{day}日"
    low, high = TRADES[merchant.trade].yuan
    amount = low * (high / low) ** rng.random()
    unit = 10 ** max(0, len(str(int(amount))) - 2)
    yuan = f"{int(amount) // unit * unit - (rng.random() < 0.4 and unit > 1)}{rng.choice(('元', '元', '块', '块钱'))}"
    text = "".join(parts).format(m=name, n=name if named and rng.random() < 0.3 else nameless, p=product, a=yuan,
                                 d=rng.choice(days.split()), w=place)  # fmt: skip
    text = _spin(rng, text)
    if rng.random() < noise.typo:
        text = _put(rng, text, SLIPS)
        text = _put(rng, text, SLIPS) if rng.random() < 0.25 else text
    return text


def _assign_serial(rng: Random, rows: list[Filed]) -> None:
    """A few people file about many merchants, in matters that pay."""
    fit = [row for row in rows if row.scope == "single" and row.issue in SERIAL]
    rng.shuffle(fit)
    for person in range(1, len(rows) // 3000 + 1):
        home = _anywhere(rng)
        for row in [fit.pop() for _ in range(min(len(fit), rng.randint(8, 40)))]:
            row.person_id = -person
            row.city, row.district = row.city and home.city, row.district and home.district
