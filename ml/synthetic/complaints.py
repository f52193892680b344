"""Seeded, made-up complaints with known persons, merchants, issues and incidents, for demos and tests.

The tables come first. In texts `[a|b]` is a free choice and these slots are filled per complaint:
{I} who speaks, {m} merchant, {p} product, {a} amount, {d} date, {x} fact, {t} time passed, {w} place.
A text with {I} reads well in any style; one without is spoken language.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone
from random import Random
from typing import NamedTuple

CHINA = timezone(timedelta(hours=8))
DEFAULT_END = datetime(2026, 11, 20, 18, 0, tzinfo=CHINA)
SPACING = timedelta(days=45)


class Place(NamedTuple):
    """A district, and the spot in it that branch shops are named after."""

    city: str
    district: str
    code: str
    spot: str


class Sector(NamedTuple):
    """A line of business: words for registered names, and kinds of shop."""

    share: int
    yuan: tuple[int, int]
    firms: str
    shops: str


class Want(NamedTuple):
    """What letters of a kind ask for: the verb, whom it is asked of, and the wishes."""

    verb: str
    whom: str
    wishes: str


@dataclass(frozen=True, slots=True)
class Issue:
    """A kind of letter; `weight` is its part of a thousand, among consumer complaints a relative one."""

    name: str
    weight: float
    sectors: str
    want: str
    facts: str
    texts: str
    goods: str = ""
    yuan: tuple[int, int] | None = None
    lots: bool = False

    @property
    def consumer(self) -> bool:
        return self.want not in ("probe", "both", "ask", "hear")

    @property
    def trades(self) -> list[str]:
        return self.sectors.split()


# fmt: off
# City: share, dialling code, and each district with its code and the place a branch shop is named after.
CITIES = {
    "武汉市": (46, "027", (
        "江岸区420102后湖 江汉区420103江汉路 硚口区420104古田 汉阳区420105王家湾 "
        "武昌区420106徐东 青山区420107红钢城 洪山区420111光谷 东西湖区420112吴家山")),
    "宜昌市": (9, "0717", "西陵区420502夷陵广场 伍家岗区420503五一广场 点军区420504江南 夷陵区420506小溪塔"),
    "襄阳市": (9, "0710", "襄城区420602鼓楼 樊城区420606人民广场 襄州区420607航空路"),
    "黄石市": (4, "0714", "黄石港区420202沿湖路 西塞山区420203黄思湾 下陆区420204新下陆"),
    "十堰市": (4, "0719", "茅箭区420302五堰 张湾区420303车城路 郧阳区420304城关"),
    "荆州市": (6, "0716", "沙市区421002北京路 荆州区421003古城 江陵县421024郝穴"),
    "荆门市": (3, "0724", "东宝区420802象山 掇刀区420804白庙 钟祥市420881郢中"),
    "鄂州市": (2, "0711", "鄂城区420704凤凰 华容区420703葛店 梁子湖区420702太和"),
    "孝感市": (4, "0712", "孝南区420902槐荫 应城市420981城中 安陆市420982府城"),
    "黄冈市": (5, "0713", "黄州区421102东门 麻城市421181金桥 武穴市421182永宁"),
    "咸宁市": (3, "0715", "咸安区421202温泉 赤壁市421281蒲圻"),
    "随州市": (2, "0722", "曾都区421303西城 广水市421381应山"),
    "恩施土家族苗族自治州": (3, "0718", "恩施市422801舞阳坝 利川市422802都亭"),
}
ROADS = "解放路 建设大道 人民路 中山路 东风大道 新华路 友谊路 文化路 滨江路 青年路 沿河路 学府路"
ESTATES = [
    name + kind
    for name in ("翠湖", "滨江", "锦绣", "阳光", "金桂", "紫荆", "银杏", "水岸", "梧桐", "学苑")
    for kind in ("花园", "小区", "家园", "公寓")
]
SURNAMES = (
    "王王李李张张刘刘陈陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾"
    "肖田董袁潘蒋蔡余杜叶程苏魏丁沈姚卢钟谭陆汪范廖夏付方熊秦雷龚覃向"
)
GIVEN = {
    "先生": "伟强磊军勇涛明超刚平辉鹏华飞斌波宇浩凯健俊杰峰志文国胜林",
    "女士": "芳娜敏静丽艳娟霞秀玲英燕红梅琳洁丹萍雪慧莉倩婷欣怡佳悦兰",
}
# Signs that sound alike; brands are coined from the first of each group before the surnames.
SOUND_ALIKE = """
禾荷和 芷止纸 霁季济 槿谨锦 沐木牧 棠堂糖 澄城程 翎玲灵 珞洛落 稔忍荏 笙生声 黛代带 迩尔耳 筱小晓 翊翼亿
湄眉梅 砚艳宴 岚兰蓝 栩许诩 莞晚婉 苡以乙 璟景井 汐溪西 昀云芸 汀厅听 蓁真珍 叙序续 暮慕幕 麓路鹿 榆鱼愉
屿雨语 朔硕 瑭唐 浔寻循 张章 程陈 李黎 王汪 徐许 吴武 肖萧 付傅 余于 周邹 伟炜玮 磊蕾垒 军君均 勇永 涛韬
明铭鸣 辉晖 鹏朋 斌彬宾 宇雨 浩皓昊 健建剑 俊峻 杰洁 峰锋丰 志智 文雯 芳方 敏闵 静婧靖 丽莉 艳燕 英瑛 红虹
婷廷 欣鑫新 怡宜 佳嘉 悦月 的得 在再 他她 做作 账帐
"""
SYLLABLES = [group[0] for group in SOUND_ALIKE.partition("张章")[0].split()]
MOBILE = """
130 131 132 133 135 136 137 138 139 150 151 152 153 155 156 157 158 159 166 173 176 177 180 186 188 189 199
"""
USCC_SIGNS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
# Each shop is `stem(rest):goods`: the stem goes into names, stem and rest say what kind of shop it is.
SECTORS = {
    "catering": Sector(14, (18, 400), "餐饮管理 餐饮服务 餐饮文化",
        "火锅(店):毛肚,肥牛卷,鸳鸯锅 烧烤(店):烤羊排,烤鱼,烤生蚝 面馆:热干面,牛肉面,炸酱面 "
        "私房菜(馆):酸菜鱼,红烧肉,粉蒸肉 龙虾(馆):油焖大虾,蒜蓉虾 茶饮(店):珍珠奶茶,水果茶"),
    "bakery": Sector(5, (12, 300), "食品 烘焙食品", "蛋糕(店):生日蛋糕,泡芙,蛋挞 面包坊:吐司,肉松卷,牛角包"),
    "grocery": Sector(11, (8, 200), "商贸 超市管理 生鲜食品",
        "超市:酸奶,速冻水饺,火腿肠,饼干 生鲜(店):盒装五花肉,冷鲜鸡,卤牛肉 水果(店):果切拼盘,鲜榨果汁"),
    "online": Sector(13, (30, 1500), "电子商务 网络科技 供应链管理",
        "旗舰店:电动牙刷,蓝牙耳机,按摩仪 优选(商城):空气炸锅,电热毯,投影仪 直播间:破壁机,按摩枕"),
    "appliance": Sector(8, (400, 6000), "电器销售 家电 通讯器材",
        "家电(城):空调,洗衣机,热水器 数码(店):手机,笔记本电脑,平板电脑 电器(商行):冰箱,油烟机,电饭煲"),
    "clothing": Sector(6, (100, 2000), "服饰 鞋服商贸", "服饰(店):羽绒服,连衣裙,西装 鞋业(专卖店):球鞋,皮鞋"),
    "gym": Sector(5, (1000, 9000), "体育文化 健身服务",
        "健身(房):年卡,私教课,两年卡 瑜伽(馆):瑜伽课,普拉提课 游泳(馆):游泳卡,游泳课"),
    "beauty": Sector(8, (500, 15000), "美容服务 健康管理",
        "美容(院):祛斑疗程,护肤套餐,美容卡 美发(店):烫染套餐,养发套餐 养生(馆):艾灸套餐,塑形套餐"),
    "cosmetics": Sector(4, (60, 900), "化妆品 日化用品", "美妆(店):面霜,精华液,粉底液 护肤(馆):面膜,祛斑霜"),
    "pharmacy": Sector(5, (15, 400), "大药房 医药零售", "大药房:消炎药,降压药,止咳糖浆 药店:感冒颗粒,眼药水"),
    "health": Sector(5, (800, 20000), "生物科技 健康咨询",
        "健康(体验店):灵芝孢子粉,磁疗床垫,蛋白粉 保健品(店):氨糖软骨素,深海鱼油,负离子水杯"),
    "education": Sector(8, (1500, 25000), "教育科技 教育咨询 文化传播",
        "教育(培训机构):英语课,编程课,作文课 艺术(培训中心):钢琴课,舞蹈课 职业(培训学校):会计课,考研班"),
    "decor": Sector(5, (3000, 90000), "装饰工程 家居",
        "装饰(公司):全屋整装,水电改造,半包装修 家居(馆):实木沙发,定制衣柜,整体橱柜"),
    "auto": Sector(4, (20000, 200000), "汽车销售服务 汽车贸易", "汽车(4S店):轿车,SUV,电动车 名车(行):二手车"),
    "repair": Sector(4, (80, 1800), "家电维修 电器服务", "家电维修(部):空调,洗衣机 电器修理(部):冰箱,电视机"),
    "express": Sector(4, (50, 3000), "快递服务 物流", "快递(网点):手机,茶叶,衣服 速运(公司):文件资料,首饰"),
    "ebike": Sector(3, (1500, 5500), "车业 电动车销售", "电动车(店):电单车,电瓶车 车业(行):电动车,锂电池"),
    "property": Sector(4, (100, 2000), "物业管理 物业服务", "物业(公司):电梯"),
    "game": Sector(4, (100, 8000), "互动娱乐 数字科技", "手游(平台):钻石礼包,游戏皮肤 游戏(公司):月卡,道具"),
    "vip": Sector(4, (9, 300), "网络科技 信息技术", "影音(平台):会员,超级会员 网盘(平台):会员,扩容套餐"),
    "hotel": Sector(5, (150, 2500), "酒店管理 文化旅游", "酒店:大床房,双床房,家庭房 民宿:湖景房,亲子房"),
    "pet": Sector(3, (600, 8000), "宠物用品 宠物服务", "宠物(店):英短猫,柯基犬,布偶猫 萌宠(馆):金毛,泰迪"),
    "parking": Sector(3, (5, 120), "停车管理 停车服务", "停车场:停车位"),
}
# Trades met online only, and trades without branch shops; the big ones that settle complaints themselves.
REMOTE = {"online", "game", "vip"}
BRANCHLESS = REMOTE | {"property", "parking", "repair"}
PLATFORMS = "online online online online appliance express express game game vip vip hotel"
WANTS = {
    "refund": Want("投诉", "商家", "全额退款 退还{a} [尽快|马上]退款 退款并赔礼道歉 退一赔三 把钱原路退回"),
    "balance": Want("投诉", "商家", "退还剩余费用 退还未消费的金额 按实际使用扣除后退费 把没用完的钱退回来"),
    "pay": Want("投诉", "商家", "赔偿损失 退款并按规定赔偿 给个说法并赔偿 承担全部责任 赔礼道歉并赔偿"),
    "fulfil": Want("投诉", "商家", "[尽快|限期]履行约定 按合同办事 给出明确时间 解约退款 履行合同或全额退款"),
    "repair": Want("投诉", "对方", "限期整改 彻底检修 [尽快|马上]排除安全隐患 公开维保记录 给个说法"),
    "probe": Want("举报", "[市场监管部门|执法部门|监管局]", "依法查处 到现场检查 立案调查 严肃处理 核实线索"),
    "both": Want("投诉举报", "商家",
        "退一赔十，并请立案查处 退款赔偿，同时依法处罚该商家 退款，并请告知查处结果 退还{a}，并请一并查处"),
    "ask": Want("咨询", "", ""),
    "hear": Want("反映", "", ""),
}
ISSUES = (
    Issue("food_foreign", 40, "catering bakery", "pay", lots=True,
        facts="一根头发 一只小蟑螂 一截钢丝 一条白色虫子 一块塑料片 一片碎玻璃 一只死苍蝇", texts="""
{I}于{d}在{m}购买{p}，食用时发现里面有{x}，与商家沟通，对方[拒不承认|只肯退一份的钱|称是意外]。
{d}{I}在{m}消费{a}，{p}中吃出{x}，[已拍照留存|当场叫了店员来看]，店方态度[冷淡|恶劣|敷衍]。
{I}反映{m}卫生不达标，{d}买的{p}里混有{x}，[孩子吃了一半才发现|老人吃后一直恶心]。
[恶心死了|真的服了]，在{m}买的{p}吃到一半吃出{x}，老板说最多[退一份钱|送张券]，谁稀罕？
{d}去{m}吃东西，{p}里面[居然|竟然]有{x}，跟店员说，店员说[不可能是他们的|换一份就行了]。
我就想问{m}的后厨到底有没有人管，{p}里能吃出{x}，花{a}买罪受，照片[都在|我都留着]。"""),
    Issue("food_expired", 40, "grocery bakery", "pay", lots=True,
        facts="过期三天 过期一周 过期半个月 过期两个多月 超过保质期十几天", texts="""
{I}{d}在{m}购买{p}，支付{a}，回家后发现该商品已{x}，商家[拒绝赔偿|只同意换货|要求出示小票]。
{m}货架上仍在销售{x}的{p}，{I}{d}购买后[食用出现腹泻|打开已经发霉|才看到生产日期]，店方推诿。
{I}称{d}在{m}买到{p}，包装日期显示已{x}，[购物小票和照片均保留|收银员未提醒]。
在{m}买的{p}，给孩子吃了才看到生产日期，已经{x}了，{a}是小事，[吃坏了谁负责|这可是入口的东西]？
{d}买了{p}，[到家一看|拆开才发现]都{x}了，回去找{m}，店员说[肯定是我放久了|给我换一个就完了]。
{m}卖过期东西，{p}{x}还摆在[货架最外面|特价区]，我拍了视频，店长[不接电话|爱理不理]。"""),
    Issue("food_poisoning", 25, "catering", "pay", facts="上吐下泻 发烧呕吐 腹痛腹泻 头晕呕吐", texts="""
{d}{I}与[家人|同事|朋友]在{m}就餐，食用{p}后[当晚|三小时后]多人{x}，已到[区人民医院|市中心医院]就诊。
{I}在{m}食用{p}后{x}，医院诊断为[急性肠胃炎|食物中毒]，花费医药费{a}，商家不认可。
{I}反映{d}在{m}聚餐，同桌[五|六|八]人中有[三|四]人{x}，怀疑{p}不新鲜，现[住院治疗|仍在输液]。
吃完{m}的{p}半夜就开始{x}，去医院[打针输液|挂急诊]花了{a}，店里说跟他们没关系。
{d}公司聚餐在{m}吃的，回来好几个人都{x}，医生说是[食物中毒|吃坏了]，老板现在[不接电话|说要证据]。
我妈{d}在{m}吃了{p}，回来就{x}，[病历和缴费单|检查报告]都有，现在人还[躺着|在医院]，店家一句道歉没有。""",
        yuan=(200, 4000)),
    Issue("counterfeit", 30, "clothing online appliance cosmetics", "refund",
        facts="被鉴定为假货 专柜验货不认 查不到防伪码 做工粗糙标识模糊 防伪标签扫不出来", texts="""
{I}{d}在{m}购买某品牌{p}，花费{a}，到手后{x}，[商家不提供进货凭证|商家让自行鉴定]。
{m}宣称{p}为正品，{I}收到后{x}，[怀疑系假冒商品|认为属于售假]，商家不予理会。
{I}称花{a}从{m}购得{p}，{x}，要求出示[授权书|进货单]遭拒。
在{m}买的{p}说好是[正品|专柜货]，拿到手{x}，[客服|老板]还嘴硬，要我自己去鉴定。
花{a}买了个假货！{m}的{p}，{x}，{d}买的，现在[找不到人|把我拉黑了]。
{m}宣传页上写着假一赔十，结果{p}{x}，让他赔就开始[装死|扯皮]。"""),
    Issue("quality_fault", 45, "appliance online", "refund",
        facts="用了几天就坏了 频繁出故障 无法正常使用 开机没有反应 一用就有异响 一股焦糊味", texts="""
{I}{d}在{m}购买{p}，价格{a}，[没过几天|不久]便出现问题：{x}，售后[两次维修未修好|一再拖延]。
{I}反映从{m}购买的{p}{x}，尚在[三包|保修]期内，商家却称[系人为损坏|要收检测费]，不予处理。
{d}{I}购入{m}所售{p}，{x}，[报修{t}无人上门|客服一直让等]，花费{a}。
{m}买的{p}{x}，修了[两|三]次还是老样子，想换新的，店里说[没货|过了七天换不了]。
{a}买的{p}，{x}，打售后电话[一直占线|说排队]，都{t}了也没人管。
才买的{p}就{x}，{m}的人看了一眼说[是我自己弄坏的|属于正常现象]，[你说气不气人|这也太欺负人了]。"""),
    Issue("refuse_return", 45, "clothing online appliance", "refund",
        facts="大小不合适 颜色与图片不符 买回家不合用 有明显瑕疵 与描述严重不符 家里人不同意", texts="""
{I}于{d}在{m}购买{p}，因{x}，七日内申请退货退款，商家[以特价商品为由拒绝|称拆封不退]。
{I}称在{m}购买的{p}{x}，次日要求退货，对方[只换不退|只肯给代金券]，涉及金额{a}。
{d}{I}向{m}提出退回{p}（{a}），理由是{x}，店方[收回商品却不退款|以包装破损为由不退]。
{p}{x}，包装都还在，{m}[死活|就是]不给退，说[小票上写了概不退换|活动款不退]，这不是霸王条款吗？
买了{p}第二天去退，{m}说[只能换等价的|只能存着下次用]，{a}呢，[七天无理由是摆设吗|凭什么不退]？
{m}的[客服|店员]一开始说可以退，东西[寄|送]回去了，又说{x}不算质量问题，钱{t}没退。"""),
    Issue("no_delivery", 35, "online", "fulfil",
        facts="显示已揽收却没有物流 一直显示待发货 说缺货要等 物流单号是假的 承诺48小时发货没做到", texts="""
{I}{d}在{m}下单{p}，付款{a}，{x}，至今{t}未收到货，联系客服[无人回应|均为机器人回复]。
{m}收款后不发货，{I}所购{p}{x}，申请退款[被驳回|迟迟不处理]。
{I}反映网购{p}（{a}），商家{m}{x}，[多次催促无果|催单均被敷衍]。
{d}拍的{p}到现在都没发，{m}{x}，催了[七八|好几]次，客服就会说亲亲再等等。
{t}了！{p}{x}，要退款{m}又不点同意，[我是来做慈善的吗|到底发不发]？
在{m}抢的{p}，{a}付了，{x}，后来[订单直接被取消|店铺都搜不到了]，也没个说法。"""),
    Issue("prepaid_closure", 45, "catering bakery beauty gym", "balance", goods="储值卡 会员卡 充值卡 年卡",
        facts="大门紧锁 人去楼空 贴了转让告示 已经停业 招牌都拆了", yuan=(300, 8000), texts="""
{I}于{d}在{m}办理{p}，充值{a}，现该店{x}，负责人电话[关机|无法接通]，卡内余额无法使用。
{I}称{m}{x}，卡内尚有[一千多元|大部分余额|三百多元]未消费，[老板失联|会员群里无人回应]，涉及人数较多。
{m}在未通知会员的情况下{x}，{I}的{p}余额不能退，[多名会员|几十名顾客]有同样遭遇。
{m}跑路了！{d}还[打电话让我充|搞活动叫我充]了{a}，今天路过一看{x}，老板微信也不回。
我在{m}办的{p}，冲了{a}才用[两|三]次，{x}，[隔壁说老板欠了房租|群里都一百多人了]，我的钱怎么办？
[早不关晚不关|真是坑人]，刚充完{a}，{m}就{x}，问店员说[工资都没发|他也联系不上老板]。"""),
    Issue("gym_refund", 30, "gym", "balance", facts="因怀孕 因工作调动 因膝盖受伤 因门店要搬迁", texts="""
{I}{d}在{m}办理{p}，缴费{a}，{x}无法继续，申请退费，对方[称要扣三成违约金|以合同约定不退为由拒绝]。
{I}反映{m}退费难，{x}提出退剩余课时费，[已提交申请{t}|门店推给总部]，至今未到账。
{I}在{m}购买的{p}还[剩一大半|基本没用]，{x}要求退费，店方[只同意转卡|一拖再拖]。
{m}的销售当时说随时能退，现在{x}想退{p}，又说[合同写了不退|要扣一半手续费]，{a}啊！
办了{p}去了没几次，{x}去不了，找{m}退钱，[店长换了三个|每次都说财务在审批]，都{t}了。
{x}我不想练了，找{m}退{p}，说[钱进了总部退不出来|可以转给朋友]，推来推去就是不退。"""),
    Issue("beauty_induced", 25, "beauty", "refund",
        facts="免费体验 九块九护肤体验 三十八元小气泡 免费皮肤检测 抽奖中的面部护理", texts="""
{I}{d}受{x}吸引到{m}，被工作人员[轮番推销|围着推销]办理{p}，刷卡{a}，事后[要求退款遭拒|毫无效果]。
{I}称{m}以{x}为名，[做到一半加价|现场诱导开通网贷]，支付{a}购买{p}，认为系诱导消费。
{I}的[女儿|母亲|妹妹]被{m}以{x}招揽进店，[两小时内|当天]被劝说花{a}购买{p}。
说是{x}，进了{m}就不让走，三四个人围着说我脸有问题，[稀里糊涂|没办法]办了{p}，{a}。
{m}套路太深了，先{x}，做了一半说要加{p}，[不买不给洗|不加就没效果]，最后刷了{a}。
我还是学生，在街上被拉去{m}做{x}，让我分期买{p}，一共{a}，[她们不退|说开了不能退]。"""),
    Issue("deposit", 25, "decor auto hotel", "refund", yuan=(500, 10000),
        facts="因家人反对 因看到别家便宜很多 因临时有变 因房子没交付 因贷款没批下来", texts="""
{I}{d}在{m}看中{p}，支付定金{a}，{x}，[次日|第三天]要求退还，商家称[定金一律不退|只能抵扣货款]。
{I}反映{m}未签书面合同即收取定金{a}，{x}现不再需要{p}，对方拒退。
{d}{I}向{m}交纳{p}定金{a}，[销售口头承诺可退|收据注明订金]，{x}申请退还被拒。
{m}的销售说交{a}锁优惠，[不买随时退|不满意全退]，现在{x}不要了，一分不退。
就交了个定金{a}，{p}合同都没签，{x}不想订了，{m}[不接电话|把我拉黑]。
[订金定金我也分不清|收据上写的订金]，{m}咬死不退，{x}又不是我故意的，{a}打水漂了。"""),
    Issue("price_fraud", 35, "catering grocery bakery hotel", "refund",
        facts="结账价比标价高出一截 没有明码标价 写特价按原价收 先提价再打折 结账时多出一笔服务费", texts="""
{I}{d}在{m}消费，{p}{x}，共收取{a}，[询问后店员态度生硬|要求按标价结算被拒]。
{I}反映{m}的{p}{x}，[与宣传价格不一致|价格随口报]，涉嫌价格欺诈。
{m}经营中{x}，{I}购买{p}多付[十几元|近百元|三十余元]，[小票可以证明|有标价牌照片为证]。
{m}的{p}{x}，我问怎么不一样，前台说[系统没更新|活动昨天结束了]，这不是糊弄人吗？
[被宰了|坑外地人呢]，在{m}要了{p}，{x}，一结账{a}，问就是[时价|一直这个价]。
以后别去{m}，{d}去的，{p}{x}，[说理还被骂|让退差价磨叽半天]。"""),
    Issue("false_promotion", 30, "education health appliance online decor beauty pet", "refund",
        facts="承诺的效果完全没有 宣传的资质查不到 与宣传页严重不符 专家推荐是编的 赠送的项目没给", texts="""
{I}因{m}宣传购买{p}，支付{a}，后发现{x}，[要求退款被拒|对方已删除宣传页面]。
{I}反映{m}[在短视频平台|在门店海报上]夸大{p}，实际{x}，误导消费者。
{d}{I}在{m}交费{a}购买{p}，事后发现{x}，商家[不认可口头承诺|拒绝沟通]。
{m}吹得天花乱坠，{p}买回来{x}，找他们理论说[因人而异|广告嘛都这样]。
信了{m}的广告花{a}买{p}，{x}，[聊天记录我都有|宣传单还在我手上]，这不是骗钱吗？
当初{m}的[销售|顾问]拍胸脯保证，买了{p}{t}，{x}，现在[换个人就不认账|说我要求太高]。"""),
    Issue("short_weight", 25, "grocery", "refund", goods="鲫鱼 五花肉 车厘子 小龙虾 螃蟹 排骨 苹果 基围虾",
        facts="少了三两 少了半斤 差了近两成 一斤只有八两 光盒子就有二两重", texts="""
{I}{d}在{m}购买{p}，支付{a}，回家复称{x}，要求补足被拒，[怀疑电子秤有问题|认为计量作弊]。
{I}反映{m}销售{p}缺斤短两，{x}，[用公平秤复核过|当场复称属实]。
{m}的电子秤[没有检定标志|示值不准]，{I}购{p}{x}，[与摊主理论无果|店方不认账]。
在{m}买{p}，[感觉不对|掂着轻]，回家一称{x}，{a}的东西也搞鬼。
{m}的秤有鬼，我{d}买的{p}{x}，跟老板讲他说[爱买不买|水分流失了]。
[天天在那买菜|街坊都知道]，{m}称{p}老是{x}，老人家[不会看秤|不好意思说]，你们来查查。"""),
    Issue("health_elderly", 25, "health", "refund", facts="免费领鸡蛋 免费体检 听讲座 送米送油", texts="""
{I}的[母亲|父亲|奶奶]被{m}以{x}吸引，先后购买{p}，共花{a}，称[能治高血压|可以代替降糖药]。
{I}反映{m}长期以{x}为名向老年人推销{p}，[夸大疗效|冒充专家]，家中老人已花费{a}。
{d}{I}家中老人参加{m}的活动（{x}），被劝购{p}{a}，[没有发票|产品无中文标识]，家属退货遭拒。
我妈七十多了，天天去{m}，说是{x}，被[洗脑|哄]得买了一堆{p}，{a}养老钱全进去了。
{m}专骗老人，先{x}然后就卖{p}，说[包治百病|吃了不用去医院]，我爸药都停了，[急死我了|出了事谁管]？
家里老头子去{m}{x}，回来就掏{a}买{p}，我们去退，[人家说老人自愿的|直接把我们轰出来]。"""),
    Issue("minor_game", 25, "game", "refund",
        facts="用奶奶的手机 趁大人睡觉 偷偷记住支付密码 用家长身份证注册 借上网课的平板", texts="""
{I}的[儿子|女儿|孩子]（[9|11|13]岁）{x}在{m}充值{a}，家长不知情，申请退款[被要求举证|仅退三成]。
{I}反映未成年子女{x}在{m}购买{p}共{a}，[平台客服不予处理|提交材料{t}无结果]。
{d}{I}发现[银行卡|微信]被扣{a}，系[10|12]岁孩子{x}在{m}购买{p}，联系平台退款未果。
我家娃{x}在{m}充了{a}，才上[三|五]年级啊，客服说[证明不了是孩子充的|不属于未成年订单]。
孩子{x}买什么{p}，{m}一晚上扣了{a}，[防沉迷呢|连个人脸识别都没有]？
[气得我血压都高了|真是又气又急]，小孩{x}打游戏充{p}，{m}只肯退[一半|三成]，说剩下的已经消耗了。"""),
    Issue("repair_overcharge", 25, "repair", "refund",
        facts="小毛病说成大故障 没坏的零件也换了 先拆开再报价 修完没两天又坏了 上门费检测费另收", texts="""
{I}{d}联系{m}上门维修{p}，{x}，共收取{a}，[未出示收费标准|不开发票]。
{I}称{m}维修{p}时{x}，收费{a}，[远高于市场价|事先未告知]，认为不合理。
{m}师傅为{I}修理{p}，{x}，[付款后电话打不通|质保承诺不兑现]，金额{a}。
网上搜的{m}，师傅来修{p}，{x}，[张口就要|一顿操作收我]{a}，不给钱还不走。
修个{p}花{a}，{x}，问了别家最多[两百|一百五]，{m}真黑。
{p}出点小问题，叫{m}来看，{x}，我一个人在家也不敢不给，{a}就这么没了。"""),
    Issue("express_lost", 30, "express", "pay",
        facts="显示已签收但没收到 丢在路边被人拿走 驿站说找不到 外包装被拆开东西没了 运输途中遗失", texts="""
{I}{d}通过{m}寄[出|送]{p}，价值{a}，{x}，对方只同意[赔三倍运费|赔五十元]。
{I}反映{m}快件{x}，内件为{p}，[投诉网点{t}|多次联系派送员]未获解决。
{I}的包裹由{m}承运，{x}，价值{a}，对方以[未保价|超过查询期]为由拒赔。
{m}把我快递弄丢了，{x}，里面是{p}，快递员说[赔你二十|不关他的事]。
{p}{x}，{m}客服一直说[在核实|24小时回复]，都{t}了。
没给我打电话就说[放门口|放驿站]了，{x}，找{m}[踢皮球|谁都不认]，{a}的{p}谁赔？"""),
    Issue("ebike_fire", 18, "ebike", "pay", lots=True, facts="充电时起火 停着自燃 骑行中冒烟", texts="""
{I}在{m}购买的{p}于{d}{x}，[烧毁墙面和家具|车辆全损]，[消防已认定|幸无人员伤亡]，商家推给厂家。
{I}称从{m}购入{p}（{a}），使用[半年|不到一年]即{x}，怀疑[电池不合格|电池被改装]，对方拒绝赔偿。
{m}销售的{p}{x}，{I}[手部烫伤|家中受损]，要求检测[电池|产品]质量，{t}无回复。
吓死人了，{d}我家{p}{x}，[幸好人在家|差点烧到楼上]，{m}说是我充电时间长了。
{m}卖的{p}{x}，才用了[几个月|一年不到]，问他[要合格证|电池哪来的]，支支吾吾。
{a}买的{p}，{x}，[楼道都熏黑了|邻居让我赔]，{m}一句[找厂家|走保险]就打发我。"""),
    Issue("elevator_trap", 22, "property", "repair",
        facts="突然停在半层 往下坠了两层 门打不开 反复开关门 抖动异响后停住", texts="""
{d}{I}在{m}管理的小区乘电梯，电梯{x}，被困[二十|四十]分钟，[紧急呼叫无人应答|物业迟迟未到]。
{I}反映{m}服务小区的电梯{x}，[本月已发生三次|检验标志已过期]，存在安全隐患。
{I}称{m}负责的[3栋|1单元|二期]电梯长期故障，{d}{x}，[老人孩子被困|维保单位不露面]。
电梯{x}，关了我[半小时|快一个钟头]，按铃没人理，{m}[只会说在修|收物业费倒积极]。
我们这栋楼电梯天天坏，{d}又{x}，[孩子吓哭了|有孕妇在里面]，{m}到底[有没有维保|管不管]？
{m}的电梯老是{x}，报修{t}还不修，[我们住28楼|家里有坐轮椅的老人]，这是特种设备吧，你们得管。"""),
    Issue("drug_bad", 25, "pharmacy", "pay", lots=True,
        facts="已过有效期 批号查不到 包装与以前不同疑似假药 颜色不对还有异味 说明书是复印的", texts="""
{I}{d}在{m}购买{p}，支付{a}，[服用后|回家后]发现{x}，药店[只同意换|不承认所售]。
{I}反映{m}销售的{p}{x}，[家中老人已服用|用后身体不适]，要求药店[解释|提供进货票据]被拒。
{m}向{I}出售{p}，{x}，[未开具小票|执业药师不在岗]，花费{a}。
给我爸在{m}买的{p}，用了[两天|几次]才看到{x}，[药能乱卖吗|出了人命谁负责]？
{m}卖的{p}{x}，去问店员，[说是厂家换包装|直接要收回去]，心里发毛。
{d}买{p}花了{a}，{x}，我要个说法，{m}就说[最多退钱|不是他家的]。"""),
    Issue("cosmetics_allergy", 25, "cosmetics beauty", "pay", lots=True, goods="面霜 面膜 祛斑霜 染发剂",
        facts="脸部红肿 起满红疹 皮肤灼痛脱皮 眼周浮肿 又痒又烂", yuan=(60, 3000), texts="""
{I}{d}在{m}购买{p}，使用后{x}，[医院诊断为接触性皮炎|已就医治疗]，商家称[是正常排毒|个人体质问题]。
{I}反映使用{m}所售{p}（{a}）后{x}，产品[无备案编号|没有中文标签]，对方拒绝承担医药费。
{m}向{I}推荐{p}，声称敏感肌可用，使用[三|两]次后{x}，[协商{t}未果|只同意退半价]。
用了{m}的{p}，第二天就{x}，现在出门都戴口罩，她们说[这是在排毒|再用几天就好了]！
花{a}买{p}，结果{x}，去医院[开了一堆药|打了三天针]，{m}让我先证明是她家的问题。
我这张脸毁了，{d}在{m}用的{p}，{x}，[工作都请假了|婚纱照都没法拍]，店里电话打不通。"""),
    Issue("decor_abandoned", 22, "decor", "fulfil",
        facts="水电做完就停工 工人全部撤场 材料迟迟不进场 地砖铺了一半 防水没做好漏到楼下", texts="""
{I}{d}与{m}签订合同（{p}），已付{a}，现{x}，[项目经理失联|公司要求追加费用]，工期延误{t}。
{I}反映{m}收款{a}后{x}，房屋[无法入住|成了烂尾]，[多次催促无果|公司互相推诿]。
{m}为{I}做{p}，{x}，质量问题[拒绝返工|不予整改]，已付款{a}。
房子装成烂尾了！{m}收了我{a}，{x}，工长说[公司不给他钱|等通知]，我还在外面租房。
{d}签的{p}，说好[六十|九十]天完工，{x}，{m}老板天天说下周，都拖了{t}。
去{m}那边一看[前台都没人|好多业主在维权]，我家{x}，{a}工程款[找谁要|是不是没了]？"""),
    Issue("training_closure", 30, "education", "balance",
        facts="校区关门 老师全部离职 突然通知停课 搬走也不告知 线下课改成网课敷衍", texts="""
{I}{d}为孩子在{m}报名{p}，缴费{a}，现{x}，剩余[三十|五十|二十多]课时无法上，[负责人失联|退费无期]。
{I}反映{m}{x}，[众多家长|两百多名学员]学费未退，{p}仅上[几|十]节。
{m}收取{I}{p}学费{a}后{x}，承诺[分期退费|月底退款]至今未兑现。
{m}{x}，{d}还在催我们续费！{p}才上[四|六]节课，{a}找谁要去？
交了{a}给孩子上{p}，{x}，家长群[被解散了|炸锅了]，{m}校长电话关机。
说好的退费排队排了{t}，{m}{x}，[前台都不认账|来一次一个说法]，打工人攒点钱容易吗。"""),
    Issue("hotel_cancel", 25, "hotel", "refund",
        facts="因航班取消 因孩子生病 因台风暴雨 因行程变更 因日期选错五分钟内", texts="""
{I}{d}预订{m}的{p}，支付{a}，{x}申请取消，酒店[以不可取消为由拒退|只退一半]。
{I}反映在{m}订的{p}，{x}提前[三天|一周]申请退订，对方与平台[互相推诿|均不处理]，金额{a}。
{I}到{m}后被告知{p}已满，此前{x}想改期也不同意，[要求另付差价|不予退款]，房费{a}。
订了{m}的{p}，{x}去不了，打电话说[不能退不能改|要扣全款]，{a}白扔？
{x}要退房，离入住还有[十天|好几天]，{m}就是不退，[房间他还能再卖啊|这规定合理吗]！
{m}前台说找平台，平台说找酒店，{x}退个{p}这么难吗，{t}了{a}还没退。"""),
    Issue("car_delivery", 22, "auto", "fulfil", facts="一再推迟交车 要求加价 合格证被抵押", texts="""
{I}{d}在{m}订购{p}，已付{a}，合同约定[一个月|四十五天]交付，商家{x}，[退款也不同意|无任何解释]。
{I}反映{m}{x}，所订{p}至今未能正常使用，已付车款{a}，[销售已离职|店方推给厂家]。
{m}在{I}付清{p}车款后{x}，[涉及二十余名车主|店内已无人负责]，已逾期{t}。
全款{a}买的{p}，{m}{x}，[贷款都开始还了|保险都买了]，车还没个影！
{d}交的钱，{m}说一个月有车，现在{x}，再问就[不耐烦|让我去告]。
{m}怕是资金链断了，{x}，我们[一群车主|好几个人]天天去店里等，{p}的钱都付了{t}了。"""),
    Issue("label_flaw", 8, "grocery bakery online health pharmacy", "pay", yuan=(15, 300), lots=True,
        goods="坚果 蜂蜜 茶叶 饼干 芝麻糊 果干 牛肉酱 压片糖果 燕麦片",
        facts="未标注生产许可证号 营养成分表数值错误 致敏物质未提示 字高不足1.8毫米 执行标准已作废", texts="""
{I}于{d}在{m}购得{p}，支付{a}，查看标签发现{x}，违反《食品安全法》第六十七条及GB7718之规定。
{d}，{I}在{m}购买{p}一份（{a}），该产品{x}，属于不符合食品安全标准的食品，商家未尽查验义务。
{I}购买{m}销售的{p}，经核对包装标签，{x}，依据《食品安全法》第一百四十八条主张权利，购物凭证齐全。
涉案产品为{m}销售之{p}，单价{a}，{x}，足以误导消费者，{I}已保留实物、小票及购物视频。
在{m}买的{p}，仔细一看{x}，这种东西也敢卖，老板还说[大家都这样印|厂家的事]。
{m}的{p}{x}，我是懂一点标准的，跟店里说[没人理|说我是打假的]，那就请你们来评评理。"""),
    Issue("platform_refund", 40, "online", "refund",
        facts="商家同意了平台却卡着 退货签收不退款 退款申请被秒拒 平台判商家赢 退到用不了的余额里", texts="""
{I}{d}通过{m}购买{p}，实付{a}，申请售后，{x}，平台客服[复制粘贴式回复|称无法介入]。
{I}反映{m}退款处理不公，{p}订单{x}，提交的[开箱视频|质检报告]未被采纳，金额{a}。
{I}在{m}退货{p}已{t}，{x}，[多次致电客服未果|人工客服无法接通]。
{m}的{p}寄回去{t}了，{x}，{a}一直悬着，[机器人客服气死人|每次都让等48小时]。
退个{p}退到崩溃，{x}，{m}让我举证，[视频照片都传了|证据交了三遍]还是不行。
{d}申请的退款，{x}，打{m}电话[永远在排队|说已升级专员]，专员呢？"""),
    Issue("auto_renewal", 25, "vip", "refund",
        facts="没有任何提醒就自动扣费 免费试用到期直接扣款 取消入口根本找不到 卸载了还在扣", texts="""
{I}{d}发现被{m}扣费{a}，系{p}自动续费，{x}，[客服拒绝退款|要求退费被拒]。
{I}反映{m}{p}{x}，[累计已扣三个月|连续扣了半年]，每次{a}，认为侵害知情权。
{m}在{I}不知情的情况下开通{p}续费，{x}，扣款{a}，[申请退款{t}无结果|仅同意退最后一期]。
{m}{x}，{a}不多但恶心人，{p}我[早就|根本]没用了。
查账单才看见{m}扣了{a}，{p}{x}，[老年人哪搞得懂|字小得看不见]，客服说已使用不能退。
{d}又扣我{a}！{m}的{p}{x}，[这不是明抢吗|默认勾选太坑了]。"""),
    Issue("parking_overcharge", 25, "parking", "refund",
        facts="没有收费公示牌 不足一小时按两小时收 超出公示价格 系统多计时 一次停车收两遍", texts="""
{I}{d}在{m}停车，收费{a}，{x}，[岗亭人员拒绝解释|无法开具发票]。
{I}反映{m}乱收费，{x}，{d}被收取{a}，[扫码缴费没有明细|拨打公示电话无人接]。
{m}收费不规范，{x}，{I}要求退还多收部分被拒，[有缴费记录为证|每天都有车主争吵]。
停了[不到一小时|四十分钟]收我{a}，{m}{x}，问保安说[系统就这样|不交不抬杆]。
{m}太黑了，{x}，{d}我去[接孩子|看病]停一会就要{a}。
在{m}停个车{x}，[后面一堆车按喇叭|赶时间]只好先交了{a}，这钱得退我。"""),
    Issue("pet_death", 20, "pet", "refund", facts="查出病毒感染 高烧拉血 抽搐不进食 一直吐黄水", texts="""
{I}{d}在{m}购买{p}一只，价格{a}，[三天|不到一周]后{x}，救治无效死亡，商家[称已过质保|只同意半价再买]。
{I}反映{m}出售的{p}带病，到家即{x}，[医院证明为潜伏期感染|检测报告可证]，治疗费用商家拒绝承担。
{m}承诺包健康，{I}购{p}后{x}，[第五天|当周]死亡，花费{a}，对方[拉黑|推卸责任]。
{a}买的{p}到家没几天就{x}，人没睡好一天，最后还是没了，{m}说[是我们养死的|出门概不负责]。
就是星期宠！{m}卖的{p}，{d}接回来，{x}，孩子哭得[饭都不吃|不行]，老板连[疫苗本|检疫证明]都拿不出来。
{p}在{m}买的时候[看着好好的|说打过针]，回来{x}，医院花了[两千|一千多]没救回来，合同说包七天现在不认。"""),
    Issue("report_unlicensed", 18, "catering education beauty repair grocery", "probe",
        facts="没有营业执照 未办经营许可证 执照与实际地址不符 借用别人执照 超出经营范围", texts="""
{I}举报{m}{x}，已经营[半年|一年]以上，[白天关门晚上营业|店内未悬挂任何证照]。
{m}涉嫌{x}，{I}[路过多次看到|住在附近]，每天[客流不少|营业到深夜]。
{w}{m}长期{x}对外营业，[未见公示|问起就说在办]，{I}提供线索。
我是附近居民，{m}{x}，[开了好久了|一直这样开]，你们可以[晚上七点后|周末]去看，一查一个准。
举报一下{m}，{x}还敢大张旗鼓做生意，[不求回报|匿名]，你们查一查。
{m}这家{x}，我[在里面干过|认识里面的人]，情况属实，[后门进出|有两个仓库]，别说是我说的。"""),
    Issue("report_false_ad", 16, "health education beauty decor online", "probe",
        facts="夸大产品功效 使用全国第一等字样 冒用专家名义 虚构成交数据 伪造获奖证书", texts="""
{I}举报{m}发布违法广告，在[公众号|短视频|门头招牌]上{x}，违反广告法。
{m}在[电梯广告|宣传单页|直播]中{x}，{I}截图留证，属于虚假广告线索。
{I}发现{m}自{d}起{x}，[至今未撤|仍在投放]，误导公众。
刷到{m}的广告，{x}，明显是假的，[评论区都是托|好多老人信了]，举报给你们。
{m}{x}，我没买他东西，就是看不惯，[视频链接|截图]我有。
满大街都是{m}的传单，{x}，[广告法不是不让吗|这也太敢吹了]，你们核实一下。"""),
    Issue("report_hygiene", 14, "catering bakery grocery", "probe",
        facts="使用过期原料 后厨有老鼠 用回收油 员工无健康证 冷冻肉没有检疫票 地上洗菜切肉", texts="""
{I}举报{m}存在食品安全隐患，{x}，[凌晨进货时最明显|视频可以提供]。
{I}向贵局提供线索：{m}{x}，时间为[每天下午|晚上收档后]。
{m}{x}，{I}[曾在该店上班|目睹多次]，建议突击检查。
我[以前|之前]在{m}打过工，{x}，[自己人都不吃|老板让换标签]，良心过不去。
{m}表面光鲜，{x}，我在楼上[看得清清楚楚|拍到了]，别提前打招呼，直接去。
曝光{m}，{x}，[学生都在那吃|附近小区的人天天买]，赶紧查。"""),
    Issue("both_expired_food", 20, "grocery bakery", "both", lots=True,
        facts="过期五天 过期一个月 更改生产日期 没有生产日期 贴着两个日期标签", texts="""
{I}于{d}在{m}购买{p}，支付{a}，发现商品{x}，属经营不合格食品，现一并投诉并举报。
投诉兼举报：{m}销售{x}的{p}，{I}{d}购得，货款{a}，[小票在手|有购物录像]。
{I}{d}从{m}购得{p}，查看后发现{x}，其行为违反食品安全法，除个人损失外还[危害公众|涉及大量同批商品]。
{m}{p}{x}，我买了[两|三]份花{a}，货架上还有[一排|十几盒]，不光要赔我，也不能让别人再买到。
{d}在{m}买的{p}{x}，钱要退给我，店也要罚，[不罚不长记性|这种店就该停业]。
{p}{x}还在卖，{m}店长态度[嚣张|极差]，我的{a}退不退另说，你们先来把货[封了|查了]。"""),
    Issue("both_false_claims", 18, "health online appliance cosmetics education", "both",
        facts="宣称国家级认证实为虚构 使用绝对化用语 虚构原价再打折 冒用他人商标 隐瞒关键参数", texts="""
{I}{d}受{m}宣传误导购买{p}，支付{a}，经查其{x}，构成欺诈，同时举报其违法行为。
{I}反映并举报：{m}{x}，致{I}花费{a}购买{p}，有[订单|宣传截图]为证。
{m}{x}，{I}购买{p}后发现上当，一方面要求退款，一方面举报其[虚假宣传|价格违法]。
{m}{x}骗我买{p}，{a}要退，广告也得[下架|处罚]，[消费者不是好欺负的|不能就这么算了]。
买{p}上当了，{m}{x}，我自己的损失要赔，[骗人的页面|这种做法]你们也要查。
两件事：一是{m}卖我的{p}要退钱，{a}；二是他家{x}，请查处，[材料|截图]可以发给你们。"""),
    Issue("enquiry", 80, "", "ask",
        facts="个体户营业执照 公司营业执照 食品经营许可证 小餐饮许可 公司名称变更 法人变更 公司注销 执照年报 "
        "电子营业执照 股权变更 特种设备登记 医疗器械备案 商标注册 异常名录移出 地址变更 电子秤检定", texts="""
{I}咨询在{w}办理{x}需要[准备哪些材料|什么流程]，[能否网上办理|需要本人到场吗]。
{I}想了解{x}的办理[时限|条件和费用]，{w}在哪个窗口办。
{I}咨询{x}事宜，[已在网上提交{t}未见审核结果|不清楚登录哪个系统]。
请问{x}怎么弄啊，我在{w}[准备开个小店|做点小生意]，[要不要先装修好再办|需要跑几趟]？
想问一下{x}[周末能不能办|可以代办吗]，人在外地，[让家里人拿身份证去行不行|能邮寄吗]？
{x}网上[填到一半提交不了|提示信息不一致]，请问{w}的窗口电话是多少，[该找谁|上班到几点]？
你们{w}[搬到哪里去了|几点下班]，我要办{x}，打了几次电话没打通。
我[退休了|刚毕业]想在{w}做点事，{x}这块有没有[优惠政策|新规定]，麻烦讲一下。"""),
    Issue("enforcement_conduct", 6, "", "hear",
        facts="态度蛮横 一个月检查了四次 没有出示证件 口头要求停业不给文书 开口就要罚款", texts="""
{I}在{w}经营[小吃店|小超市|理发店]，{d}执法人员上门检查{x}，影响正常经营，希望规范执法。
{I}反映{w}市场监管所工作人员{x}，[同一事项重复检查|解释不听]，请求核查。
{I}对{d}的检查有意见，检查人员{x}，[当着顾客的面训斥|让签字不让看内容]。
我们小本生意，{w}所里的人{x}，[客人都吓跑了|到底查什么也不说]，这样还怎么做？
{d}来了几个穿制服的，{x}，我问依据是什么，他说[你等着|少废话]，你们内部管不管？
投诉你们的人！{w}那边{x}，[隔壁店就不查|天天盯着我一家]，要个说法。"""),
    Issue("other_department", 14, "", "hear",
        facts="工地半夜施工 广场舞音响太大 小区停水两天 社保转移没人办 老板拖欠三个月工资 路灯坏了没人修 "
        "楼上违建 物业费乱涨不公示 公交改线不方便 烧烤摊油烟扰民", texts="""
{I}反映{w}{x}，已持续{t}，[多次反映无人处理|影响日常生活]，希望有关部门解决。
{I}称{x}，地点在{w}，[不知道归哪个部门管|已打过物业电话无效]。
{I}居住在{w}，{x}，请[协调|转相关单位]处理。
{w}这边{x}，[孩子中考|老人有心脏病]受不了，打了好多电话都说不归他管，你们帮忙转一下。
{x}，都{t}了，[城管说找街道街道说找城管|谁都不管]，{w}的。
我想问{x}这个事找谁，我住{w}，[打12345让我打这里|急死了]。"""),
    Issue("information_request", 5, "", "hear",
        facts="行政处罚统计 电梯检验报告 投诉处理文书 食品抽检不合格名单 双随机检查计划", texts="""
{I}依据《政府信息公开条例》，申请公开{w}{x}，[以纸质方式邮寄|通过电子邮件提供]。
申请人{I}请求贵局公开{x}，用途为[科研|生产生活需要]，请在二十个工作日内答复。
{I}现向{w}市场监督管理局申请政府信息公开，内容：{x}，形式为[复印件|电子文档]。
我要申请信息公开，{w}的{x}，[网上表格打不开|上次申请没回复]，按条例你们应该给我。
想看一下{x}，{w}局网站上没有，请依法公开给我。
请公开{w}{x}，{t}前申请过一次，说[内容不明确|要补正]，这次写清楚了。"""),
    Issue("petition", 5, "", "hear",
        facts="企业改制安置 供销社职工待遇 集资款未兑付 门面征收补偿 市场拆迁摊位安置", texts="""
{I}就{x}问题多次上访，{w}答复意见[避重就轻|未解决实质问题]，现再次信访，请领导接访。
{I}系{w}居民，{x}历时多年，[不服复查意见|未收到书面答复]，请求上级督办。
{I}代表[三十余户|四十多人]联名反映{x}，请求成立工作组调查。
我就为{x}这个事跑了[八|十几]年了，{w}推市里市里推省里，我要见你们局长。
{x}再不解决我们就[去省里|集体上去]，{w}的人都签了字，材料[交了三次|一摞]了。
信访件回复我不满意，{x}问题{w}说不归他管，那归谁管？我要求重新处理。"""),
    Issue("emergency", 0.4, "", "hear",
        facts="液化气站在漏气 几十个学生上吐下泻 游乐设施停在半空有人被困 电梯坠落有人受伤", texts="""
{I}紧急反映，{w}{x}，现场[混乱|仍有危险]，请立即派人！
紧急：{w}{x}，{I}在现场，[已拨打119|120正在赶来]，请速到场处置。
{I}称{w}刚刚发生险情，{x}，事态[正在扩大|严重]。
快来人啊，{w}{x}，[要出人命了|好多人围着]！
救命，{w}这里{x}，[现在就是现在|刚发生的]，你们赶快过来！
{w}{x}，[味道很大不敢动|人快不行了]，马上来！"""),
)

# Share of complaints, styles, hours of the day, and how often (%) each of FIELDS is given.
FIELDS = ("name", "phone", "id_no", "wechat", "email", "province", "city", "district", "address")
OFFICE = (0,) * 8 + (4, 12, 14, 9, 3, 2, 9, 12, 9, 4) + (0,) * 6
WAKING = (3, 1, 1, 0, 0, 0, 1, 3, 7, 11, 13, 10, 9, 8, 10, 11, 10, 8, 7, 8, 10, 10, 8, 5)
CHANNELS = {
    "phone": (30, "clerk clerk voice", OFFICE, (95, 98, 2, 0, 0, 10, 80, 88, 8)),
    "wechat": (13, "oral oral voice", WAKING, (75, 62, 0, 100, 0, 5, 50, 30, 5)),
    "web": (14, "oral letter", WAKING, (98, 94, 45, 0, 45, 90, 95, 90, 60)),
    "app": (22, "oral", WAKING, (88, 100, 12, 62, 5, 60, 75, 60, 15)),
    "letter": (5, "letter", OFFICE, (95, 50, 30, 0, 8, 20, 40, 30, 95)),
    "visit": (5, "clerk letter", OFFICE, (100, 88, 80, 0, 0, 10, 60, 60, 65)),
    "hotline12345": (11, "clerk", WAKING, (90, 92, 1, 0, 0, 60, 98, 92, 25)),
}
# How a style opens a letter, closes it with a {wish} of {whom}, or without one; empty choices are common.
STYLES = {
    "oral": (
        "[||||你好，|我要{verb}，|{verb}！|领导好，情况是这样的，]",
        "[|我要求{whom}{wish}。|希望{whom}{wish}。|麻烦你们处理，要求{whom}{wish}。|{whom}必须{wish}！|诉求：{wish}。]",
        "[||谢谢|盼回复|请回电。]",
    ),
    "voice": (
        "[|喂你好，|那个我想{verb}一下，|你好是12315吧，|嗯我说个事啊，|喂，我{verb}一个事，]",
        "[|我现在就是要{whom}{wish}，麻烦你们了。|你们帮我处理一下，让{whom}{wish}，好吧。|反正要{whom}{wish}。]",
        "[|麻烦你了。|好吧。]",
    ),
    "clerk": (
        "[|||来电{verb}：|热线转办：|【{city}】]",
        "[诉求：{wish}。|现要求{whom}{wish}，请核实处理。|要求{whom}{wish}。|请相关部门处理并回复。]",
        "[|请予以答复。]",
    ),
    "letter": (
        "[||尊敬的市场监管局领导：您好！|{city}市场监督管理局：|{verb}事项：]",
        "[综上，请求{whom}{wish}。此致敬礼！|现请求：{whom}{wish}，盼复。|特此来信，要求{whom}{wish}。|望依法处理为盼。]",
        "[盼复。|此致敬礼！]",
    ),
}
REMARKS = """
[付款记录|聊天截图|现场照片][齐全|都有保留]。
[联系|沟通]过[两|三|好几]次，[没有结果|一直没有答复]。
目前对方[电话不接|不再回复|仍未答复|让等通知]。
[希望引起重视|不想就这么算了|耽误了不少时间]。
[同样遭遇的不止一人|邻居也遇到过|身边好几个人都这样]。
[网上|点评上]也有人[反映|遇到]同样问题。
对方[让走法律途径|说随便投诉|称要请示上级]。
[前天|上周]又去过一次，[还是老样子|没见到负责人]。
[之前|当时]也没有[给发票|开收据|任何提示]。
为这事[跑了好几趟|请了两天假|打了无数个电话]。
"""
# How a letter looks when it is sent again, and the slips of the pen that go unnoticed.
AGAIN = "[||||再次反映：|重复提交：|之前打过电话没人联系，再说一遍，]{text}[||||望重视。|急！|（第二次反映）]"
SLIPS = "的得在再他她做作账帐"
# By how many days have passed, how one says so; sooner one does not say.
PASSED = {45: "快两个月", 30: "一个多月", 14: "[半个|大半个]月", 7: "[一个多星期|十来天]", 4: "[好几|四五]天"}
FILLERS = ("", "", "", "", " ", " ", " ", "嗯", "然后", "那个", "就是说")
# What each sign may be misheard as.
EAR = {sign: group.replace(sign, "") for group in reversed(SOUND_ALIKE.split()) for sign in group}
PLACES = {
    city: [Place(city, *found) for found in re.findall(r"(\D+)(\d{6})(\S+)\s?", districts)]
    for city, (_, _, districts) in CITIES.items()
}
# fmt: on


@dataclass(frozen=True, slots=True)
class Merchant:
    """Who is complained about; more than one site makes a chain."""

    number: int
    sector: str
    full: str
    short: str
    kind: str
    goods: list[str]
    sites: list[Place]
    contact: dict[str, str]
    platform: Merchant | None
    odr: bool

    @property
    def pull(self) -> int:
        return 6 if self.odr else 3 if len(self.sites) > 1 else 1


@dataclass(frozen=True, slots=True)
class Person:
    """Who complains; `fields` offers the ways this person's name, phone and address get written down."""

    number: int
    name: str
    title: str
    home: Place
    fields: dict[str, str]
    agent: Person | None


@dataclass(frozen=True, slots=True)
class Case:
    """The facts of one letter; letters with the same `script` share sender and wording."""

    issue: Issue
    merchant: Merchant | None
    place: Place
    channel: str
    moment: datetime
    event: date
    product: str
    fact: str
    fen: int
    order: str
    lot: str
    naming: str
    incident: int | None = None
    script: int | None = None


@dataclass(frozen=True, slots=True)
class Planted:
    """An intake body with its truth; one person's letters on the same merchant and issue are copies."""

    body: dict[str, object]
    person: int
    incident: int | None
    merchant: int | None
    issue: str


def generate(
    count: int = 5000,
    days: int = 90,
    seed: int = 12315,
    end: datetime | None = None,
) -> list[Planted]:
    """Complaints received in the `days` before `end`, in order; equal arguments give equal lists."""
    end = DEFAULT_END if end is None else end
    if end.tzinfo is None or days < 1 or count < 0:
        raise ValueError("need an aware end, at least a day, and no negative count")
    rng = Random(seed)
    end = end.astimezone(CHINA).replace(microsecond=0)
    copies = count // 20
    cases = _plan(rng, count - copies, end - timedelta(days=days), end)
    letters = [(case, person, _text(rng, case, person)) for case, person in _cast(rng, cases)]
    for case, person, text in rng.sample(letters, copies):
        channel = rng.choice([name for name in CHANNELS if name != case.channel])
        moment = _moment(rng, channel, case.moment, min(end, case.moment + timedelta(days=6)))
        again = replace(case, channel=channel, moment=moment)
        letters.append((again, person, _spin(rng, AGAIN.format(text=_mistype(rng, text, SLIPS)))))
    letters.sort(key=lambda letter: letter[0].moment)
    return [
        Planted(
            body=_body(rng, case, person, text, f"demo-{number:06d}"),
            person=person.number,
            incident=case.incident,
            merchant=case.merchant.number if case.merchant else None,
            issue=case.issue.name,
        )
        for number, (case, person, text) in enumerate(letters, 1)
    ]


def _plan(rng: Random, count: int, start: datetime, end: datetime) -> list[Case]:
    """Incidents among their distractors, letters from templates, the fixed shares, then single complaints."""
    docket = _Docket(rng, count, start, end)
    consumer = [issue for issue in ISSUES if issue.consumer]
    incidents = round(count / 80)
    for number in range(1, incidents + 1):
        docket.incident(consumer, number, size=round(3 * 40 ** ((number - 0.5) / incidents)))
    for script in range(1, round(count / 1250) + 1):
        docket.serial(next(issue for issue in consumer if issue.name == "label_flaw"), script)
    for issue in ISSUES:
        if not issue.consumer:
            for _ in range(max(1, round(issue.weight * count / 1000))):
                docket.single([issue])
    while len(docket.cases) < count:
        docket.single(consumer)
    return docket.cases[:count]


class _Docket:
    """Cases as they are laid out: no third like complaint on a shop within SPACING but in incidents."""

    def __init__(self, rng: Random, count: int, start: datetime, end: datetime) -> None:
        self.rng, self.start, self.end = rng, start, end
        self.cases: list[Case] = []
        self.planted: set[tuple[str, int]] = set()
        self.received: defaultdict[tuple[str, int], list[datetime]] = defaultdict(list)
        self.brands: set[str] = set()
        self.platforms: list[Merchant] = []
        for sector in PLATFORMS.split() * max(1, count // 4500):
            self.platforms.append(self.open_shop(sector, odr=True))
        sectors = rng.choices(list(SECTORS), [row.share for row in SECTORS.values()], k=count // 22)
        regulars = self.platforms + [self.open_shop(sector) for sector in [*SECTORS, *sectors]]
        pulled = [shop for shop in regulars for _ in range(shop.pull)]
        self.pools = {kind.name: [shop for shop in pulled if shop.sector in kind.trades] for kind in ISSUES}

    def open_shop(self, sector: str, odr: bool = False) -> Merchant:
        rng, row = self.rng, SECTORS[sector]
        brand = ""
        while not brand or brand in self.brands:
            brand = "".join(rng.sample(SYLLABLES, 2)) + rng.choice(SYLLABLES + list("坊记阁居家里"))
        self.brands.add(brand)
        trade, goods = rng.choice(row.shops.split()).split(":")
        kind = re.sub("[()]", "", trade)
        seat = _place(rng)
        chain = not odr and sector not in BRANCHLESS and rng.random() < 0.25
        branches = rng.sample(PLACES[seat.city] * 2, rng.randint(1, 4)) if chain else []
        alone = not chain and not odr and rng.random() < 0.3
        firm = kind if alone else rng.choice(row.firms.split()) + "有限公司"
        line = f"8{rng.randrange(10**6):06d}{rng.randrange(10) if seat.city == '武汉市' else ''}"
        return Merchant(
            number=len(self.brands),
            sector=sector,
            full=seat.city + seat.district + brand + firm,
            short=brand + trade.partition("(")[0],
            kind=kind,
            goods=goods.split(","),
            sites=[seat, *branches],
            contact={
                "uscc": _uscc(rng, ("92" if alone else "91") + seat.code),
                "phone": rng.choice((_mobile(rng), f"{CITIES[seat.city][1]}-{line}")),
                "address": f"{seat.city}{seat.district}{rng.choice(ROADS.split())}{rng.randint(1, 400)}号",
            },
            platform=rng.choice(self.platforms[:4]) if sector == "online" and self.platforms else None,
            odr=odr,
        )

    def incident(self, issues: list[Issue], number: int, size: int) -> None:
        """Many complaints of a kind on one shop, and around them others that only look alike."""
        rng = self.rng
        while True:
            issue = rng.choices(issues, [each.weight for each in issues])[0]
            shop = rng.choice(self.pools[issue.name])
            matter = issue.name, shop.number
            if matter not in self.planted and matter not in self.received:
                break
        self.planted.add(matter)
        length = min(timedelta(days=2 * 20 ** rng.random()), self.end - self.start)
        low = self.start + (self.end - self.start - length) * rng.random()
        common = _case(rng, issue, shop, low, low + length)
        wide = shop.sector in REMOTE or rng.random() < 0.5
        for _ in range(size):
            case = _case(rng, issue, shop, low, low + length)
            case = replace(case, incident=number, lot="", place=case.place if wide else common.place)
            if rng.random() < 0.8:
                case = replace(case, product=common.product, fact=common.fact, lot=common.lot)
            self.cases.append(case)
        others = [other for other in ISSUES if shop.sector in other.trades and other is not issue]
        for _ in range(rng.randint(2, 5)):
            self.single([issue], None, low, low + length)
            if others:
                self.single(others, shop, low, low + length)

    def serial(self, issue: Issue, script: int) -> None:
        """One sender's many letters of one wording, each on another shop."""
        shops = list({shop.number: shop for shop in self.pools[issue.name]}.values())
        self.rng.shuffle(shops)
        sent, fact = len(self.cases), self.rng.choice(issue.facts.split())
        letters = self.rng.randint(20, 40)
        while shops and len(self.cases) < sent + letters:
            self.single([issue], shops.pop())
        for place, case in enumerate(self.cases[sent:], sent):
            channel = self.rng.choice(("web", "web", "app", "letter"))
            self.cases[place] = replace(case, channel=channel, fact=fact, script=script)

    def single(self, issues: list[Issue], shop: Merchant | None = None, *span: datetime) -> None:
        """One complaint outside incidents; none if it has to be on a shop that has had its share."""
        rng, (low, high) = self.rng, span or (self.start, self.end)
        issue = rng.choices(issues, [each.weight for each in issues])[0]
        target = shop or (rng.choice(self.pools[issue.name]) if issue.sectors else None)
        if target and not shop and rng.random() < 0.15:
            target = self.open_shop(target.sector)
        case = _case(rng, issue, target, low, high)
        if target:
            matter = issue.name, target.number
            near = [moment for moment in self.received[matter] if abs(moment - case.moment) < SPACING]
            if matter in self.planted or len(near) > 1:
                return
            self.received[matter].append(case.moment)
        self.cases.append(case)


def _case(rng: Random, issue: Issue, shop: Merchant | None, low: datetime, high: datetime) -> Case:
    channel = rng.choices(list(CHANNELS), [row[0] for row in CHANNELS.values()])[0]
    moment = _moment(rng, channel, low, high)
    event = moment.date() - timedelta(days=min(60, 1 + int(rng.expovariate(1 / 9))))
    remote = shop is not None and shop.sector in REMOTE
    lot = f"{event - timedelta(days=rng.randint(30, 200)):%Y%m%d}{rng.choice('ABCK')}{rng.randint(1, 9)}"
    return Case(
        issue=issue,
        merchant=shop,
        place=rng.choice(shop.sites) if shop and not remote else _place(rng),
        channel=channel,
        moment=moment,
        event=event,
        product=rng.choice(issue.goods.split() or shop.goods) if shop else "",
        fact=rng.choice(issue.facts.split()),
        fen=_price(rng, *(issue.yuan or SECTORS[shop.sector].yuan)) if shop else 0,
        order=f"{event:%y%m%d}{rng.randrange(10**12):012d}" if remote else "",
        lot=lot if issue.lots and rng.random() < 0.6 else "",
        naming="given" if shop and shop.odr else rng.choices(("given", "text", "missing"), (70, 15, 15))[0],
    )


def _cast(rng: Random, cases: list[Case]) -> list[tuple[Case, Person]]:
    """Each case with its sender: no one twice on a matter, some again, some through agents or with kin."""
    scripts = sorted({case.script for case in cases if case.script})
    senders = {script: _person(rng, number, _place(rng)) for number, script in enumerate(scripts, 1)}
    cast = [(case, senders[case.script]) for case in cases if case.script]
    loose = [case for case in cases if not case.script]
    rng.shuffle(loose)
    loose.sort(key=lambda case: case.place.city)
    agents = [_person(rng, 0, _place(rng)) for _ in range(1 + len(loose) // 400)]
    number, person = len(senders), agents[0]
    while loose:
        number += 1
        kin = person if rng.random() < 0.05 and person.home.city == loose[-1].place.city else None
        agent = rng.choice([kin, *agents]) if rng.random() < 0.03 else None
        person = _person(rng, number, loose[-1].place, kin, agent)
        letters = rng.choice((2, 2, 2, 3, 4)) if rng.random() < 0.12 else 1
        seen: set[tuple[str, int]] = set()
        while loose and len(seen) < letters:
            matter = loose[-1].issue.name, loose[-1].merchant.number if loose[-1].merchant else 0
            if matter in seen:
                break
            seen.add(matter)
            cast.append((loose.pop(), person))
    return cast


def _person(
    rng: Random,
    number: int,
    near: Place,
    kin: Person | None = None,
    agent: Person | None = None,
) -> Person:
    """Someone who lives near, or at the home and on the phone of kin."""
    title = rng.choice(list(GIVEN))
    surname = kin.name[0] if kin else rng.choice(SURNAMES)
    name = surname + "".join(rng.choices(GIVEN[title], k=rng.choice((1, 2, 2))))
    home = kin.home if kin else near if rng.random() < 0.7 else rng.choice(PLACES[near.city])
    born = date(1946, 1, 1) + timedelta(days=rng.randrange(21_900))
    stem = f"{home.code}{born:%Y%m%d}{rng.randrange(50):02d}{2 * rng.randrange(5) + (title == '先生')}"
    check = "10X98765432"[sum(int(digit) << 17 - place for place, digit in enumerate(stem)) % 11]
    phone, tail = _mobile(rng), f"{rng.randrange(10**6):06d}"
    street = f"{rng.choice(ROADS.split())}{rng.randint(1, 300)}号"
    estate = f"{rng.choice(ESTATES)}{rng.randint(1, 30)}"
    room = 100 * rng.randint(1, 32) + rng.randint(1, 4)
    area = home.city + home.district
    phones = f"{phone}|" * 14 + f"+86{phone}|+86 {phone}|{phone[:3]} {phone[3:7]} {phone[7:]}"
    addresses = (
        f"{area}{street}{estate}栋{room}室|{home.district}{estate}-{room}|湖北省{area}{street}"
        f"|{street}{estate}栋|{home.district}{estate}号楼{room}"
    )
    fields = {
        "name": f"[{f'{name}|' * 12}{surname}{title}|{surname}*{name[2:]}]",
        "phone": kin.fields["phone"] if kin else f"[{phones}|{phone[:3]}****{phone[7:]}]",
        "id_no": stem + check,
        "wechat": f"{rng.choice(('wx', 'wxid_', 'hb'))}{tail}{home.code[2:]}",
        "email": f"{rng.choice(('user', 'hb', 'mail'))}{tail}@example.com",
        "province": "湖北省",
        "city": home.city,
        "district": home.district,
        "address": kin.fields["address"] if kin else f"[{addresses}]",
    }
    return Person(number, name, title, home, fields, agent)


def _text(rng: Random, case: Case, person: Person) -> str:
    """The letter as told in a style of its channel; a script settles every choice of words."""
    shop, place, want = case.merchant, case.place, WANTS[case.issue.want]
    remote = shop is not None and shop.sector in REMOTE
    if shop and case.naming != "missing":
        called = _called(rng, shop, place)
        if not remote and called != shop.full and rng.random() < 0.15:
            called = f"{place.district}的{called}"
    else:
        called = f"{'网上' if remote else place.spot}的一家{shop.kind if shop else '店'}"
    words = Random(case.script) if case.script else rng
    style = "letter" if case.script else words.choice(CHANNELS[case.channel][1].split())
    opening, demand, courtesy = STYLES[style]
    formal = style in ("clerk", "letter") or words.random() < 0.3
    gap = (case.moment.date() - case.event).days
    passed = next((phrase for days, phrase in PASSED.items() if gap >= days), "")
    texts = [text for text in case.issue.texts.split() if ("{I}" in text) == formal]
    told = words.choice([text for text in texts if passed or "{t}" not in text])
    remarks = words.sample(REMARKS.split(), words.choice((0, 0, 1, 1, 2, 3))) if case.issue.consumer else []
    if case.lot and words.random() < 0.4:
        remarks.append(f"[产品|生产|][批号|批次]{case.lot}。")
    yuan, title = f"{case.fen / 100:g}", person.name[0] + person.title
    amount = f"[{yuan}元|{yuan}元|{yuan}块钱|{yuan}块]" if style in ("oral", "voice") else f"{yuan}元"
    day = f"{case.event.month}月{case.event.day}日"
    frame = opening + told + "".join(remarks) + (demand if want.wishes else courtesy)
    text = frame.format(
        I={"clerk": f"[来电人|来电人|市民{title}|{title}]", "letter": "本人"}.get(style, "我"),
        m=called,
        p=case.product,
        a=amount,
        d={1: "昨天", 2: "前天"}.get(gap, f"[{day}|{case.event.year}年{day}]"),
        x=case.fact,
        t=passed,
        w=f"[|{place.city}]{place.district}",
        city=place.city,
        verb=want.verb,
        whom=want.whom,
        wish=words.choice(want.wishes.split() or [""]).replace("{a}", amount),
    )
    text = _spin(words, text)
    if style == "voice":
        return re.sub("[，。！？：；]", lambda _: rng.choice(FILLERS), text.rstrip("，。！？"))
    return _mistype(rng, text, SLIPS) if style == "oral" and rng.random() < 0.15 else text


def _body(rng: Random, case: Case, person: Person, text: str, external_id: str) -> dict[str, object]:
    """What the channel takes down: each field may be missing, and names may be misheard."""
    shop = case.merchant
    _, styles, _, shares = CHANNELS[case.channel]
    asked = [field for field, share in zip(FIELDS, shares, strict=True) if 100 * rng.random() < share]
    sender = {field: _spin(rng, person.fields[field]) for field in asked}
    if "name" in sender and "clerk" in styles and rng.random() < 0.3:
        sender["name"] = rng.choice((person.name[0] + person.title, _mistype(rng, person.name)))
    accused: list[dict[str, str]] = []
    if shop and case.naming == "given":
        known = {"uscc": 0.3, "phone": 0.25, "address": 0.35}
        accused.append({"name": _called(rng, shop, case.place, full=0.2 if "clerk" in styles else 0.5)})
        accused[0] |= {field: shop.contact[field] for field, share in known.items() if rng.random() < share}
        if shop.platform and rng.random() < 0.7:
            accused[0]["platform"] = shop.platform.short
            accused += [{"name": shop.platform.full}] if rng.random() < 0.15 else []
    elif shop and shop.sector not in REMOTE and rng.random() < 0.25:
        accused.append({"address": f"{case.place.city}{case.place.district}{case.place.spot}"})
    anonymous = case.issue.want == "probe" and rng.random() < 0.3
    agent = person.agent
    optional: dict[str, tuple[float, object]] = {
        "event_date": (0.6 if shop else 0.1, case.event.isoformat()),
        "product": (0.55, case.product),
        "amount_fen": (0.3 if "clerk" in styles else 0.65, case.fen),
        "order_no": (0.2 if "clerk" in styles else 0.65, case.order),
        "lot_no": (0.5, case.lot),
        "complainant": (0.0 if anonymous else 1.0, sender),
        "agent": (0.9, agent and {field: _spin(rng, agent.fields[field]) for field in ("name", "phone")}),
        "respondents": (1.0, accused),
        "consents": (0.45, {"publish": rng.random() < 0.6, "delegate": rng.random() < 0.7}),
    }
    body: dict[str, object] = {
        "external_id": external_id,
        "text": text,
        "channel": case.channel,
        "received_at": case.moment.isoformat(),
    }
    if shop and case.channel in ("web", "app", "wechat"):
        body["chose_odr"] = rng.random() < (0.6 if shop.odr else 0.12)
    return body | {key: value for key, (share, value) in optional.items() if value and rng.random() < share}


def _called(rng: Random, shop: Merchant, place: Place, full: float = 0.15) -> str:
    """The shop's name as someone would write it: registered, with its branch, by its brand, or misspelt."""
    if rng.random() < full:
        return shop.full
    if len(shop.sites) > 1 and rng.random() < 0.6:
        return shop.short + rng.choice(("（{}店）", "（{}店）", "{}店", "({}店)")).format(place.spot)
    return _mistype(rng, shop.short) if rng.random() < 0.1 else shop.short


def _moment(rng: Random, channel: str, low: datetime, high: datetime) -> datetime:
    """A time when the channel is in use: letters and visits come on weekdays."""
    hours = CHANNELS[channel][2]
    for _ in range(60):
        day = low + (high - low) * rng.random()
        hour = rng.choices(range(24), hours)[0]
        moment = day.replace(hour=hour, minute=rng.randrange(60), second=rng.randrange(60), microsecond=0)
        if low <= moment <= high and not (channel in ("letter", "visit") and moment.weekday() > 4):
            return moment
    return (low + (high - low) * rng.random()).replace(microsecond=0)


def _place(rng: Random) -> Place:
    return rng.choice(PLACES[rng.choices(list(CITIES), [row[0] for row in CITIES.values()])[0]])


def _price(rng: Random, low: int, high: int) -> int:
    """A price in fen, evenly spread over magnitudes and about as round as prices are."""
    yuan = low * (high / low) ** rng.random()
    unit: int = 10 ** max(1, len(str(int(yuan))) - 1)
    return int(100 * yuan) // unit * unit


def _mobile(rng: Random) -> str:
    return rng.choice(MOBILE.split()) + f"{rng.randrange(10**8):08d}"


def _uscc(rng: Random, head: str) -> str:
    """A made-up unified credit code (GB 32100) for a registrar's head."""
    stem = head + "".join(rng.choices(USCC_SIGNS, k=9))
    return stem + USCC_SIGNS[-sum(USCC_SIGNS.index(sign) * 3**place for place, sign in enumerate(stem)) % 31]


def _mistype(rng: Random, text: str, among: str = "") -> str:
    """The text with one sign swapped for one that sounds alike, if it has any such."""
    spots = [spot for spot, sign in enumerate(text) if sign in (among or EAR)]
    if not spots:
        return text
    spot = rng.choice(spots)
    return text[:spot] + rng.choice(EAR[text[spot]]) + text[spot + 1 :]


def _spin(rng: Random, text: str) -> str:
    """The text with every `[a|b]` decided, inner ones first."""
    while "[" in text:
        text = re.sub(r"\[([^\[\]]*)\]", lambda choice: rng.choice(choice[1].split("|")), text)
    return text
