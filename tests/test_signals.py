"""What a text says that bears on the track: signals with their words, people by their age, things by what they are, and the kinds that
politeness or an earlier attempt must not hide. All texts are made up."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import codes, policy
from app.policy import Facts
from app.reading import LANES, facts_of
from app.reading import signals as dangers_of
from ml import signals
from ml.reading import Reading, read

TODAY = date(2026, 11, 20)
SHIPPED = policy.parse(codes.shipped("policy"))
DANGERS = ("elderly", "minor", "product_safety", "special_equipment", "injury")

# What is said, and what must be found.
SAID: list[tuple[str, tuple[str, ...]]] = [
    (
        "8月3日在金鼎珠宝买的吊坠，说是天然翡翠，鉴定出来是B货染色的。老板以假充真，我花了4600元，要求退一赔三。",
        ("suspected_fraud",),
    ),
    ("送修的时候师傅把我笔记本里的内存条调包了，原来16G的换成了8G，维修店不承认。要求换回来。", ("suspected_fraud",)),
    ("双十一店铺先把价格从699涨到1299再打对折，属于虚构原价，我多付了钱，要求退差价。", ("suspected_fraud",)),
    ("商家拿翻新机冒充全新机卖给我，激活时间是两年前。付款3280元，要求退货退款。", ("suspected_fraud",)),
    ("报了舞蹈班交了2600元，上周门店人去楼空，负责人微信拉黑，怎么都联系不上。要求退费。", ("merchant_unreachable",)),
    ("健身房7月突然关门，老板失联，电话一直关机，办卡的钱没地方要。要求退卡1980元。", ("merchant_unreachable",)),
    ("网店下架了，店主不回消息，留的电话是空号，地址也是假的，我的货款368元要不回来。", ("merchant_unreachable",)),
    (
        "这家民办幼儿园没有办学资质，食堂没有许可证，消防也没验收，请教育、消防和市场监管一起联合执法，退还我们保教费3600元。",
        ("multi_department",),
    ),
    (
        "美容院给我打了玻尿酸，卫健委说没有医疗资质，公安说这个够不上立案，市场监管说归卫健管，几家互相踢皮球。要求退费5800元。",
        ("multi_department",),
    ),
    ("养老院收了押金五万不退，民政局说已经撤销备案，卫健局查出医务室无证，请会同民政、卫健一起处理。", ("multi_department",)),
    (
        "我在一家面馆吃面发现一根头发，跟老板说得很清楚，赔我八千块这事就算了，不然我天天找人来店门口拍视频。面18元。",
        ("extortion",),
    ),
    ("买了件羽绒服459元有点跑绒，我告诉店家给三万封口费，不给就发到网上让他做不成生意。请监管部门督促他付。", ("extortion",)),
    ("酒店毛巾有个黑点，我要求赔2万，他们不答应，我就说那就全平台曝光加举报到关门为止。", ("extortion",)),
    (
        "茶叶价签少写了一个字，我给老板两条路，要么私了给一万，要么我举报他罚到倒闭，他不理，所以来投诉。茶叶60元。",
        ("extortion",),
    ),
    ("主播在直播间说买一送一，收到只有一件，客服说赠品送完了。要求补发。", ("new_economy",)),
    ("共享电单车锁车后还在计费，扣了我36元，要求退还。", ("new_economy",)),
    ("空调安装打坏了墙，和商家谈不拢，希望消委会出面主持调解，赔偿墙面修复费600元。", ("mediation_wanted",)),
    ("干洗把大衣洗坏了，双方争执不下，申请消费者协会组织双方当面调解，赔900元。", ("mediation_wanted",)),
    (
        "在12315平台上跟商家在线和解，拖了半个月商家拒绝了我的方案，和解没有成功，现在转投诉，要求退179元。",
        ("settlement_failed",),
    ),
    ("线上和解谈崩了，商家只肯给10元券，所以申请转为投诉，要求退鞋款259元。", ("settlement_failed",)),
    ("我父亲68岁，在小区门口听免费讲座，被推销员说动买了2900元的磁疗床垫，要求退货。", ("elderly",)),
    ("来电人反映：其母亲今年七十三岁，在保健品店花1800元购买鱼油，诉求退货退款。", ("elderly",)),
    ("老人家不会用智能手机，被营业员诱导开通了三个会员，每月多扣45元，要求退费。", ("elderly",)),
    ("上小学五年级的儿子自己在文具店充值了200元游戏卡，店家不核实年龄，要求退钱。", ("minor",)),
    ("商家拿临期换标的酸奶当新鲜的卖，是欺诈消费者，89元，请处理退款。", ("suspected_fraud",)),
    ("美容店一夜之间搬空，店长失联，我卡里还有4300。", ("merchant_unreachable",)),
    (
        "这家校外托管点市场监管所来看过说没有执照，消防大队也贴了整改通知，教育局说他们只管学校，希望几家联合起来把这个事解决了，退我们3000元。",
        ("multi_department",),
    ),
    (
        "我明说了，这条毛毛虫值一万五，三天内不打钱，我让你们饭店上热搜，开不下去。一盘青菜22块，市监局来评评理让他赔。",
        ("extortion",),
    ),
    ("奶茶里有根吸管屑，16元。我让店长转我6000，不转我就每天带人来排队举报，他不转，我要投诉他。", ("extortion",)),
    ("先在ODR平台上跟企业协商，到期没有达成协议，系统提示可以投诉，所以来了。电热水壶139元，换新。", ("settlement_failed",)),
    ("此前通过绿色通道处理，商家逾期未回复被系统关闭，请市监部门介入，退款52元。", ("settlement_failed",)),
    ("我今年73岁了，不会网上操作，旅行社多收我300元导服费不退。", ("elderly",)),
    ("充电器插上就冒火花把插座烧黑了，39元，退款。", ("product_safety",)),
]
# Denied, feared, asked, somebody else's words, or another thing of the same name: nothing of these kinds.
NEAR_MISSES: list[tuple[str, tuple[str, ...]]] = [
    ("买的手链标的是合金，我没有认为是假货，只是褪色快，39元，要求退货。", ()),
    ("老板反过来说我调包了他的鞋，我根本没有，要求退货退款299元。", ()),
    ("客服一直没人接，机器人来回转，要求人工处理退货，129元。", ()),
    ("联系客服好几次联系不上，在线排队一百多位，鞋子开胶要求换货。", ()),
    ("快递员电话打不通，包裹放在驿站，超时收了我2元，要求退。", ()),
    ("怕他跑路，所以想先把卡里的钱退出来，店还正常营业，余额500元。", ()),
    ("第一次没联系上老板，后来联系上了，他同意修但不同意退，手机壳发黄39元。", ()),
    ("店铺在教育局旁边，卖的书包拉链坏了，65元，要求更换。", ()),
    ("我报了警，派出所说是消费纠纷让我找市场监管。手表维修收费850元没修好，要求退费。", ()),
    ("老板吹嘘自己认识公安和消防的人，不怕投诉，羊肉串多收了我30元，要求退。", ()),
    ("鞋子穿了一周断底，要求退一赔三，共1196元，不赔我就向12315举报。", ()),
    ("蛋糕发霉，88元，按食品安全法要求赔1000元，商家不给就请依法处理。", ()),
    ("商家说我是敲诈，我只要求退回多收的46元。", ()),
    ("不退钱我就找电视台曝光，冰箱两千四，三个月修了四次，要求退货。", ()),
    ("老板要我给500元洗车费才肯还车，否则不让走，要求退还这500元。", ()),
    ("小店卖的水壶漏水，45元，没有参加什么直播活动，就是线下买的，要求换。", ()),
    ("我不同意消委会调解，请你们直接处理，要求退押金300元。", ()),
    ("物业纠纷去年消协调解过，跟这次没关系，这次是超市多收9元，要求退。", ()),
    ("愿意先线上和解，如果和解失败再请你们处理，耳机坏了一边，159元，要求换新。", ()),
    ("还没有走过线上和解，也不清楚怎么弄，闹钟不走了，49元，要求退货。", ()),
    ("线上和解正在进行，商家说三天内答复，先登记一下，要求退款76元。", ()),
    ("给72岁的妈妈订的寿宴，上菜少了两道，3680元一桌，要求退两道菜钱。", ()),
    ("店里写着60岁以上老人半价，我三十岁不享受，但结账多收了我12元，要求退。", ()),
    ("行李箱拉杆用两次就断了，没有伤到人，329元，要求换新。", ()),
    ("办公椅气杆自己往下掉，坐着越来越矮，没摔着，468元，要求换气杆。", ()),
    ("衣柜铰链断裂，门歪了，要求上门维修。", ()),
    ("怕孩子受伤，先把秋千收起来了，绳子起毛，138元，要求退。", ()),
    ("并非电梯问题，是家具城送货上楼多收了100元搬运费，要求退。", ()),
    ("价格像坐过山车一样，昨天399今天599，要求按399发货。", ()),
    ("我退回去的包，商家倒打一耙说我掉包，明明是原物退回，880元退款不给。", ()),
    ("客服电话打不通，一直占线，网上客服倒是回了说不退，56元。", ()),
    ("火锅店锅底有异物，386元，要求退一赔十，不答应就走法律途径起诉。", ()),
    ("手被门夹伤住院花了6200，误工费3000，不赔我就找媒体曝光商场，要求赔9200元。", ("injury",)),
    ("商家提出给我200封口费让我别举报，我没要，要求按标价退86元。", ()),
    ("上次消协帮我调解成功了一件，这回是另一家店洗坏衣服，赔180。", ()),
    ("在店里跟经理谈崩了，他说爱告告去，鞋子掉底，要求换。", ()),
    ("给爸爸过七十大寿订的蛋糕字写错了，268元，要求退一半。", ()),
    ("雨伞伞骨断裂，用了一次，35元退货。", ()),
    ("升降桌升到一半不动了，电机坏了，1299元要求换电机。", ()),
]


def heard(said: str) -> set[str]:
    found = read(said, on=TODAY)
    return {s.type for s in found.signals} | {d for d in DANGERS if found.has_danger(d, at_least="medium")}


def test_what_is_said_is_found_and_what_is_nearly_said_is_not() -> None:
    """Precision and recall over all of them; the bars of a set that was not looked at while the rules were written are .95 and .85."""
    right = wrong = missed = 0
    for said, wanted in (*SAID, *NEAR_MISSES):
        found = heard(said)
        right += len(found & set(wanted))
        wrong += len(found - set(wanted))
        missed += len(set(wanted) - found)
    assert right / (right + wrong) >= 0.95
    assert right / (right + missed) >= 0.95


@pytest.mark.parametrize("kind", signals.TYPES)
def test_each_signal_has_its_words(kind: str) -> None:
    said = [(t, s) for t, _ in (*SAID, *MORE) for s in read(t, on=TODAY).signals if s.type == kind]
    assert said
    assert all(0 <= s.start < s.end <= len(t) for t, s in said)


MORE = [("区消委会组织我们调解过，商家没来，调解失败，现在请市场监管局处理，要求退款600元。", ("mediation_failed",))]


def test_spans_are_places_in_the_text_as_given() -> None:
    said = "老板ＡＢＣ跑路了，　押金退不了"
    (one,) = [s for s in read(said, on=TODAY).signals if s.type == "merchant_unreachable"]
    assert said[one.start : one.end] == "跑路"


# Lawful demands are no extortion, however large: three and ten times the price, a thousand yuan, what a hurt person lost.
@pytest.mark.parametrize(
    "said",
    [
        "买的腊肉58元生虫，不按退一赔十赔我638元我就去12315举报并曝光。",
        "面包过期，9元，不赔一千元我就举报你们店。",
        "剪头发剪到耳朵缝了三针，门诊花了860元，我要求赔8000元，不赔就找电视台曝光。",
        "交了8400元团费行程取消，马上全额退我8400元，不然发抖音曝光。",
        "有个职业打假人跟我说，不给他五千块就举报我的店，我是开小超市的，该怎么办。",
        "客服说给我50元封口费让我删差评，我没有答应，要求按订单退款128元。",
    ],
)
def test_a_lawful_demand_is_no_extortion(said: str) -> None:
    assert "extortion" not in heard(said)


# Who paid and demands his own complains, however politely and whatever was tried before.
@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("请问贵店什么时候给我装？我5月就交了2380元油烟机钱，一直没装。要求本周内安装。", "complaint"),
        ("请问这种情况你们管不管，付了1500元订婚纱照，影楼改了三次日期，我不想拍了，请帮我要回定金。", "complaint"),
        ("平台显示和解失败后，我只能向市场监管所投诉，请所里的工作人员帮我处理，要求退款45元。", "complaint"),
        ("驾校收了钱不安排学车，交通局让我找市场监管，公安交管说名额早停了，希望多部门联合处理，退学费3980元。", "complaint"),
        ("鞋子穿了一周断底，要求退一赔三，共1196元，不赔我就向12315举报。", "complaint"),
        ("请问七天无理由退货吊牌剪了还能退吗？衣服是上周买的，199元。", "enquiry"),
        ("请问我在网上买的奶粉想退，运费由谁出，可不可以要求商家承担？", "enquiry"),
        ("市场监管所的人上门检查态度恶劣，收了罚款不给票据，我开的是小卖部，请上级查处执法人员。", "enforcement_conduct"),
        ("鞋店卖的名牌鞋鉴定是假的，要求退一赔三，共1497元，同时举报该店售假，请依法查处。", "both"),
    ],
)
def test_kinds(said: str, kind: str) -> None:
    assert read(said, on=TODAY).kind == kind


def test_facts_of_a_reading() -> None:
    def facts(said: str) -> dict[str, object]:
        return {k: v for k, v in facts_of(s.type for s in read(said, on=TODAY).signals).items() if v not in (False, "none")}

    assert facts("买的衣服颜色不对，99元，要求退货。") == {}
    assert facts("线上和解失败，企业不退，要求退款89元。") == {"failed_track": "t1"}
    assert facts(MORE[0][0]) == {"failed_track": "t2"}
    assert facts("希望消委会主持调解，退我600元。") == {"mediation_wanted": True}


@given(st.text(alphabet="我不赔给拿两万块就曝光和解失败调包跑路消防教育联合处理,。老板说没有72岁妈妈", max_size=120))
def test_no_text_breaks_the_signals(said: str) -> None:
    found: Reading = read(said, on=TODAY)
    for one in found.signals:
        assert one.type in signals.TYPES
        assert 0 <= one.start < one.end <= len(said)


# One letter for each row of the shipped policy that a letter alone can reach; the others need a crowd or an earlier act (tests/test_policy.py).
LETTERS = {
    "E01": "快来人，幼儿园中午吃完饭有三十多个孩子都在呕吐抽搐，两个已经昏迷了，救护车还没到！",
    "R01": "买的电热毯夜里起火，老人手臂二度烧伤住院，399元，要求赔偿医药费。",
    "R02": "洗浴中心地面湿滑，我父亲摔倒骨折，住院做了手术，花了两万，要求赔偿。",
    "R13": "在美甲店做指甲被划伤出血，88元，要求退款并道歉。",
    "R03": "买的充电宝充电时冒浓烟，烧了个洞，没有伤到人，129元，要求退款。",
    "R05": "健身房老板跑路了，门店人去楼空，电话关机，要求退卡里的1200元。",
    "R18": "装修队的负责人怎么都联系不到，活干了一半，要求退4000元。",
    "R19": "店家把翻新机冒充全新机卖给我，激活时间是两年前，3280元，要求退货退款。",
    "R20": "这家托管班没有资质，请教育、消防和市场监管一起联合执法，退还我们托管费3600元。",
    "R21": "酒店超售不退房费880元，本地电视台昨晚已经曝光了，要求退款。",
    "R27": "面里有根头发，18元。我跟老板讲了，赔我八千块这事就算了，不然我天天找人来店门口拍视频。",
    "R24": "区消委会组织我们调解过，商家没来，调解失败，请市场监管局处理，要求退款600元。",
    "R10": "装修合同价88000元，施工和图纸不一样，要求返工或者退款。",
    "R25": "平台显示线上和解失败，企业不同意退款，请市场监管部门处理，要求退款299元。",
    "R26": "商家和我谈不拢，希望消委会主持调解，空调安装打坏了墙，要求赔偿600元。",
    "R08": "办的健身年卡还没用完，2800元，店里正常营业就是不肯退，要求退还剩余费用。",
    "R09": "我妈妈72岁，听完课花3600元买了一台按摩椅垫，要求退货退款。",
    "R11": "订的中央空调12800元，噪音超过合同约定，要求整改或者退货。",
    "R12": "网店卖的羊毛衫检测只有三成羊毛，299元，要求退一赔三。",
    "R99": "买的电饭煲用了一次就不通电，269元，要求换货。",
    "C01": "举报某某汽修厂没有营业执照长期经营，请市场监管局依法查处。",
    "D01": "请问办理食品经营许可证需要准备哪些材料，去哪里办？",
}


@pytest.mark.parametrize("row", LETTERS)
def test_letters_reach_the_rows(row: str) -> None:
    found = read(LETTERS[row], on=TODAY)
    lane = LANES.get(found.kind, ("other",))[0]
    facts = Facts(
        lane=lane, kind=found.kind, punitive=found.punitive is not None, amount_fen=found.amount_fen or 0,
        **dangers_of([(d.type, d.severity) for d in found.dangers], goods=found.goods, issues=found.issues),
        **facts_of(s.type for s in found.signals),
    )  # fmt: skip
    assert policy.decide(SHIPPED, facts).rule == row


def test_only_crowds_and_earlier_acts_reach_the_other_rows() -> None:
    assert {r.id for r in SHIPPED.rows} - LETTERS.keys() == {"R04", "R06", "R07", "R14", "R15", "R16", "R17", "R22", "R23"}
