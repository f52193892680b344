"""Seeded, made-up public grievances: long-running matters that residents write about on a message board, without a merchant.

Rows are those of `streams`, with the truth of what belongs together; like matters of one place are APART days from each other.
In texts `[a|b]` is a free choice; slots are {n} the subject's name, {a} an amount, {r} a road, {k} a count. Nobody here is real.
"""

import re
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

from ml.synthetic.complaints import CHINA, _spin
from ml.synthetic.people import ROAD_KINDS, ROADS, Place, _put
from ml.synthetic.streams import HOURS, SHORT, SLIPS, SYLLABLES, TOWN, Filed, _anywhere, _words


class Sort(NamedTuple):
    """A sort of subject: what its stem may end in, of that what short names keep, what else to call it, ordinary names."""

    ends: str
    noun: str
    nameless: str
    ordinary: str = ""
    keep: bool = False


class Kind(NamedTuple):
    """A matter: sorts of its subjects, usual amounts, what headlines call it and wish for, sentences."""

    name: str
    sorts: str
    yuan: tuple[int, int]
    topics: str
    wishes: str
    texts: str


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """Whom or what a matter is about; `road` is what it lies on, or what crosses it."""

    sort: str
    name: str
    short: str
    ordinary: bool
    phases: bool
    place: Place
    road: str


@dataclass(slots=True, eq=False)
class _Matter:
    """An incident, or a message that stands alone, with the facts its writers share."""

    number: int
    kind: Kind
    subject: Subject
    days: list[float]
    yuan: int
    crowd: str
    told: bool = False
    letter: tuple[str, ...] = ()


# fmt: off
START = datetime(2023, 1, 1, tzinfo=CHINA)
ALONE, TAIL, MOST, LARGE, APART = 0.75, 1.3, 80, 8, 150  # share of messages; of incidents' sizes; size that is large; days
SPANS, GAPS = (6.5, 248.0), (42.0, 88.0)  # days; shorter gaps are no gaps
UNTOLD, ROAD_ONLY, TYPOS, LETTERS, COPIES = 0.7, 0.15, 0.1, 0.25, 0.3  # of fields; of messages; of incidents and their messages
SHORTEST, LONGEST = 80, 600
SIGNS = [*"".join(SYLLABLES), *_words("""
澜 麓 樾 屿 熹 澄 川 岭 渡 溪 浦 汀 洲 栖 栎 棣 榆 槿 芷 蘅 汐 潭 坤 钧 骏 鲲 鹏 曜 珩 琅 砚 墨 翰 瀚 涵 润 沁 浩 旭 晟 昊 景 峻 巍 崇 拓 邦 昌 硕 耀 缦 颐 御 逸 誉
铂 镜 璟 序 岸 屹 北 南 东 上 九 千 百 长 永 广 绿 紫 丹 碧""")]
SORTS = {
    "楼盘": Sort("花园 新城 雅苑 名苑 府 华府 公馆 小区 家园 城 湾 里 御景 国际 壹号 郡 首府 水岸 时光 印象 公寓 广场", "小区", "我们小区 本小区 小区 这个楼盘 这里",
        "阳光花园 幸福小区 和平家园 滨江花园 锦绣花园 东方花园 安居小区 世纪新城 教师新村 龙泉花园 春天花园 康乐小区 金色家园 福利小区"),
    "学校": Sort("职业技术学校 技工学校 职业学院 中等专业学校 科技学院 高级技校", "学校", "学校 校方 我们学校 该校", "市职教中心 第一技工学校 卫生学校 电子工业学校"),
    "中小学": Sort("小学 中学 实验学校 外国语学校 学校 初级中学", "学校", "学校 校方 该校 他们学校", "育才小学 实验中学 第三中学 人民路小学 第二小学 希望小学 第九中学"),
    "幼儿园": Sort("幼儿园 实验幼儿园 双语幼儿园 艺术幼儿园", "幼儿园", "园方 幼儿园 这所幼儿园", "蓝天幼儿园 小太阳幼儿园 机关幼儿园 童心幼儿园"),
    "厂": Sort("混凝土公司 搅拌站 商砼站 建材厂 商品混凝土公司 沥青站", "搅拌站", "该站 这家企业 搅拌站 站里"),
    "公司": Sort("建筑公司 建设集团 劳务公司 装饰工程公司 机械厂 纺织厂 电子厂 制衣厂 食品厂 化工厂", "那家公司", "公司 该公司 单位 他们", "第二建筑公司 市棉纺厂 红旗机械厂"),
    "平台": Sort("宝 贷 财富 金服 理财 车贷 普惠 钱包 网贷 投资 易贷", "平台", "平台 该平台 公司 他们", keep=True),
    "村": Sort("村 庄村 湾村 塘村 坪村 桥村 岗村 寨村 洼村 口村 沟村 店村", "村", "村里 我们村 本村", "新建村 团结村 石桥村 胜利村 光明村", keep=True),
    "道路": Sort("路 路 大道 街 东路 西路 巷 南街 支路", "路段", "这条路 该路段 这一带 这里", keep=True),
    "公交": Sort("路公交 路 路公交车 路公交线", "公交", "这条线 这趟车 该线路 公交", keep=True),
    "医院": Sort("医院 中医院 骨科医院 妇产医院 康复医院 口腔医院 眼科医院", "医院", "医院 院方 这家医院 他们", "市第二医院 中心医院 康复医院 工人医院 妇幼保健院"),
    "广场": Sort("广场 公园 文化广场 市民公园 湿地公园 体育公园", "广场", "这里 广场 公园里 这一片", "人民广场 儿童公园 中心广场 人民公园 体育场"),
    "养殖场": Sort("养殖场 猪场 牧业 养鸡场 农牧公司 生态养殖基地", "养殖场", "养殖场 这个场 场里"),
}
KINDS = (
    Kind("搅拌站噪声粉尘", "厂", (2000, 60000), "粉尘噪声扰民 昼夜施工 粉尘污染 噪声和扬尘 夜间生产 罐车扬尘", "搬走 停止扰民 依法关停 把粉尘治住", """
        {n}每天[半夜|凌晨三点]还在生产，轰隆声传到家里睡不着 罐车沿{r}进出，一路撒浆，路面[结了厚厚一层水泥|全是石子] 窗台一天不擦就是一层灰，都是{n}吹来的
        {n}离居民楼不到[一百|两百]米，不知道环评怎么通过的 环保检查的人一来{n}就停，人一走又开工 料仓没有封闭，刮风时灰白一片，{k}户人家不敢开窗 老人孩子[咳嗽|得鼻炎]的越来越多，怀疑和{n}有关
        {n}的[冲洗废水|泥浆]直接排到{r}的下水道 听说{n}被罚过{a}，罚完照样干 {n}没有[规划许可|用地手续]，属于临时建筑，为何一直不拆 皮带机和铲车的声音量过有[七十|七十五]分贝 {r}被罐车压得全是裂缝，骑车摔过人"""),
    Kind("捆绑销售车位", "楼盘", (50000, 260000), "捆绑销售车位 强制买车位 开发商车位捆绑 车位只售不租 不买车位不给办手续", "把车位租给业主 停止捆绑 退还车位款", """
        {n}开发商要求买房必须同时买车位，一个{a} 不签车位认购书，{n}就不给[网签|交钥匙] {n}的车位只卖不租，地下空着一半，业主车停在{r}被贴条 置业顾问说车位[自愿]，到签合同时变成必须
        {n}车位从{a}起，比周边贵一倍 车位款被要求打到[第三方|私人]账户，{n}不开发票 {n}共{k}户，车位却不够，还拿去卖给外人 人防车位也被{n}拿来卖[二十年使用权|所谓长租] 已有{k}个业主签了字反对，{n}售楼部不理
        交房时{n}把[车位|储藏间]当条件，不买就验不了房 {n}的宣传单上写的是配比一比一，现在说不够 退房不行，退车位也不行，{n}让我们去起诉"""),
    Kind("平台爆雷", "平台", (8000, 900000), "爆雷 无法兑付 非法集资 本金拿不回 清退无进展 逾期不兑付", "兑付 公布清退进展 把血汗钱退给我们", """
        我在{n}投了{a}，到期至今一分没有回来 {n}说良性清退，每个月只回[百分之一|几十块] {n}的实际控制人[跑到境外|被取保]，出借人的钱去向不明 当初{n}在{r}的门店挂着[国资背景|存管银行]的牌子才相信
        {n}案立案已经[一年半|两年]，没有任何通报 {n}全国受害者有{k}人，本地就有几百 借款人的钱还在还，为什么{n}不给出借人发 {n}的标的是[假的|重复抵押]，警方说在查账 这{a}是我[给儿子结婚|养老|看病]的钱，全在{n}
        {n}的APP打不开，客服电话成了空号 经侦登记过材料，{n}追回多少资产从来不公布 业务员把{n}说成[银行理财|保本保息]，老人分不清 {n}的催收停了，老赖们乐得不还"""),
    Kind("催收骚扰", "平台", (1000, 60000), "暴力催收 骚扰通讯录 高额利息 砍头息", "停止骚扰 依法催收 把多收的利息退回", """
        {n}的催收一天打[几十|上百]个电话，骂人很难听 我借{n}{a}，到账先扣掉[两成|一笔会员费] {n}把我的[照片|身份证]发给了通讯录里的人 单位领导也接到{n}的电话，工作要丢了 年化算下来超过[百分之三十六|百分之五十]，{n}说是服务费
        已经还了{a}，{n}系统里还显示欠着 {n}冒充[法院|律所]发短信吓唬我父母 我想协商分期，{n}不同意，只让一次结清 {n}注册地在{r}，去了是[空房间|别的公司] {n}换着号码打，拉黑没用，群里{k}人都这样 {n}不给结清证明，征信上[挂着逾期|有好几条记录]"""),
    Kind("学校强制实习", "学校", (300, 6000), "强制实习 强制学生进厂 安排学生进电子厂 实习不对口 以毕业证要挟实习", "停止强制实习 让学生回校 还学生自由", """
        {n}把[大二|高二|二年级]学生拉到外地电子厂，专业完全不对口 不去实习{n}就不发毕业证，[辅导员|班主任]在群里点名 流水线上两班倒，每天站[十一|十二]个小时，{n}说是锻炼 学生每月只拿{a}，其余被[中介|劳务公司]和{n}扣了
        {n}让学生签自愿书，谁不签就[找家长|记处分] 孩子学的是[会计|学前教育|计算机]，{n}却安排去打螺丝 {n}这一届有{k}名学生被安排，大巴连夜送走 住宿[八人间|没热水]，生病请假{n}老师还骂
        有学生在厂里[晕倒|伤了手]，{n}不让说出去 学费照收{a}，半年没上一节课，{n}怎么解释 {n}和厂里签的协议不给家长看 在{r}校门口的家长都是为这事来的"""),
    Kind("违规加建", "楼盘 村", (20000, 400000), "违规加建 违建无人拆 楼顶违建 私搭乱建 一楼圈占院子加建", "拆除违建 有人来管 恢复原状", """
        {n}顶楼[业主|住户]在天台盖了[一整层|阳光房]，墙体裂缝往下延 {n}一楼把公共绿地圈进院子，砌墙搭棚 城管来{n}贴过通知，第二天[照旧施工|撕掉了] {n}这家加盖以后，我家[采光|通风]全没了
        承重墙被砸，{n}整栋楼的人都害怕 举报{n}违建三次，回复都是[已受理|正在核实] 靠近{r}的那栋加建最多，[几乎家家都有|已经连成一片] 听说花{a}就有人包办，{n}物业装看不见 消防通道被{n}的加建堵死，车进不来
        {n}有{k}户联名，要求先停工再说 夜里偷偷运砖，[吊机|小货车]停在{n}门口 同样的违建别处拆了，{n}的为什么不拆"""),
    Kind("拖欠农民工工资", "公司 楼盘", (6000, 300000), "拖欠农民工工资 欠薪 工程款不付 工资一年没结 工人讨薪", "把工资结清 发工资 给工人一个准信", """
        我们[十几|二十多]个工人在{n}干完活，工资{a}没有给 {n}的项目经理说甲方没拨款，让我们等 从[去年腊月|开春]干到现在，{n}只发了生活费 去{n}在{r}的工地讨要，被[保安|看门的]拦在外面 手里只有{n}打的欠条，写着{a}
        劳动监察去过，{n}答应月底给，又没给 {n}层层转包，[包工头|班组长]电话打不通 一共欠了{k}个人，都是外省来的 {n}没签合同，考勤本在他们手里 孩子[开学|住院]等钱用，{n}一拖再拖 {n}说用[房子|材料]抵工资，我们不要 工地早就完工入住，{n}的保证金为什么不动用"""),
    Kind("公交线路取消", "公交", (2, 30), "取消 停运 改线 线路调整绕行 撤站", "恢复 恢复原线 重新开通", """
        {n}突然不跑了，[站牌上糊了张纸|事先没通知] 我们到{r}上班全靠{n}，现在要倒[两|三]趟车 {n}改线后不经过[医院|菜场|学校]，老人出门很难 这一片{k}住户，只有{n}一条线 公交公司说{n}[客流少|亏损]，可是早晚都挤不上去
        {n}取消后打车去{r}要{a} 孩子上学坐惯了{n}，如今家长天天接送 {n}的末班提前到[六点|七点]，下班赶不上 调整{n}之前[没有听证|没征求意见] 地铁离我们[三公里|很远]，{n}是唯一的接驳 建议{n}哪怕改成[小巴|定时班车]也行 {r}站等了一个钟头才知道{n}停了"""),
    Kind("公交班次", "公交", (1, 10), "班次太少 等车太久 甩站不停 司机态度差 发车不准点", "准点 加密班次 按站停车", """
        {n}等了[四十|五十]分钟，一来来两辆 司机看见老人招手，{n}就是不停 {n}早高峰人贴着人，{r}站根本上不去 手机上显示{n}还有两站，结果[消失了|变成下一班] {n}的空调[不开|滴水]，夏天一车汗味
        {n}司机[抽烟|接电话|急刹]，有乘客摔了 {n}晚上八点以后隔[一小时|很久]才一班 投币{a}没有零钱，{n}司机骂骂咧咧 {r}站台没有[棚子|座椅]，等{n}淋雨 跟公交公司说过{n}的事，答复是[驾驶员不足|已优化] 坐{n}的学生有{k}人，天天迟到"""),
    Kind("夜宵摊油烟", "道路 楼盘", (50, 3000), "夜宵摊油烟扰民 烧烤摊占道 大排档通宵吵闹 流动摊贩油烟", "让居民睡个好觉 清理占道摊 没有油烟", """
        {n}的烧烤摊从傍晚摆到[凌晨三点|天亮]，油烟直往屋里灌 {n}喝酒划拳的声音到后半夜，[孩子|病人]没法睡 城管下班后{n}的摊子就出来，[十几|二十来]家 {n}满地[竹签|油污]，早上走路打滑 摊主把桌子摆到{r}的人行道上，婴儿车过不去
        {n}的餐饮店没装净化器，烟管对着[三楼|我家窗户] 报警来了安静十分钟，{n}又开音响 泔水倒在{n}的雨水口里，[老鼠|苍蝇]成群 听说每个摊收{a}管理费，所以{n}没人赶 {n}两侧{k}户都关着窗过夏天 {r}路口因为停车吃夜宵，救护车堵过 换过三次窗子，{n}的油味还是进来"""),
    Kind("拆迁补偿", "村 楼盘", (30000, 2000000), "拆迁补偿不到位 征地款未发 安置房迟迟不交 拆迁补偿不公 过渡费拖欠", "分到安置房 发补偿款 公开补偿标准", """
        {n}拆了[三|五|七]年，安置房还没有影子 {n}征地补偿说好{a}，到手少了一截 过渡费从[去年六月|前年]起就停发，{n}几百人租房住 {n}的测量面积和房本对不上，[签字时没让看|只给看一页] 有关系的多分，{n}老实的吃亏
        {n}共{k}户，签了协议的也没拿到钱 强拆那天{n}的[门窗|家具]都没搬 补偿方案在{n}没公示过 安置点靠近{r}，地基打了一半就停 {n}的青苗费被[村委|中间人]扣着 老人等不到回迁，{n}已经走了好几位 按{r}旁边的标准，{n}每平米差{a}"""),
    Kind("小区停水", "楼盘 村", (50, 3000), "经常停水 水压不足 停水没人管 长期水压低 无故停水", "正常供水 用上稳定的水 换掉老水管", """
        {n}[隔三差五|每周]停水，事前从不通知 {n}五楼以上白天没有水，夜里[接桶|定闹钟]存水 自来水公司说是{n}内部管网，物业说是水厂，两头推 {n}的增压泵坏了[半年|很久]，没人出钱修 水管爆在{r}，{n}{k}户跟着断水
        改造每户收了{a}，{n}的水还是老样子 大热天{n}停了[三|四]天，洗澡都在单位 {n}的水费比旁边高，水却小得像线 送水车到{n}只来一趟，老人提不动 {n}用的还是[九十年代|三十年前]的铁管 换表以后{n}水费翻倍，查不出原因 村口蓄水池见底，{n}做饭买桶装水"""),
    Kind("高压线", "楼盘 村 中小学", (10000, 500000), "高压线离房子太近 高压线迁改 变电站选址 高压线入地 高压线辐射", "迁走高压线 让高压线入地 公开环评", """
        {n}上空的高压线离[阳台|屋顶]只有十来米，下雨嗞嗞响 买房时{n}开发商说交房前迁走，现在不提了 {n}旁边新立了铁塔，[没人告知|图纸上没有] 高压线沿{r}架设，为什么在{n}这里绕近 {n}有[孕妇|小孩]的人家都很担心
        供电部门说迁改要{a}，没人愿出，{n}就拖着 {n}{k}位住户签名反对，材料交了两回 检测报告没给{n}看过一份 风筝线搭上去打过火，{n}吓坏了 规划图写着{n}段地埋，施工成了架空 变电站围墙紧挨{n}，嗡嗡声整夜 {r}对面那段早就入地，{n}却排不上"""),
    Kind("房产证办不下来", "楼盘", (5000, 200000), "房产证办不下来 不动产证逾期 迟迟不办证 无法办理产权证", "办下房产证 拿到不动产证 给业主办证", """
        {n}入住[六|八|十]年了，房产证一直没有 因为没证，孩子上学不认{n}的地址 {n}开发商欠[土地款|税款]，大证办不出来 契税维修基金{a}早就交给{n}，钱不知去哪 {n}{k}户都卡在[竣工验收|消防验收]
        想卖房看病，{n}没证没人敢买 去政务大厅，窗口说{n}的地[被抵押|被查封] {n}售楼时承诺[一年|两年]出证，合同里写着 专班开过会，说{n}列入历史遗留，然后没下文 开发商在{r}的办公室早搬了，{n}没人可找 {n}前几栋有证，后几栋没有 违约金按合同该赔{a}，{n}不认"""),
    Kind("学位分配", "中小学 楼盘", (10000, 300000), "学位分配 入学划片不公 学区调整 小升初分配 新生被统筹到外校", "让孩子就近入学 公布划片 解决学位", """
        {n}门口就是学校，孩子却被分到[四|五]公里外 今年{n}的划片突然改了，[没有征求意见|六月才公布] 冲着{n}的学位多花{a}买房，现在说不算 {n}报名{k}人，只收一半，剩下的统筹 {r}以东归{n}，以西就不归，差一条马路
        双胞胎一个进了{n}，一个没进 [租房|集体户]的孩子排在{n}最后一批 {n}班里挤到五十八人，教室用[实验室|食堂]改的 售楼宣传写着对口{n}，教育局说没签过 接送要过{r}两个大路口，{n}这么近为啥去不了 {n}的录取名单不公开排序 打电话问{n}，让等通知，马上开学了"""),
    Kind("学校伙食", "中小学 幼儿园 学校", (200, 3000), "食堂饭菜差 伙食费乱收 食堂不卫生 强制订餐 餐费上涨", "让孩子吃好 公开伙食账 停止强制订餐", """
        {n}食堂的菜[发馊|有虫]，孩子回家肚子疼 {n}伙食费一学期{a}，吃的是[土豆和白菜|预制菜] 不订餐{n}就[不让午休|要写说明] {n}外包食堂，家委会没进过后厨 {n}{k}个学生，昨天有几十个呕吐 肉按片数，{n}老师吃的是另一份
        {n}换了承包方之后量少又贵 退餐的钱{n}从来不退 从{r}送来的盒饭到{n}都凉了 {n}不许带水果牛奶，小卖部却卖零食 伙食账目贴出来，{n}只有一个总数"""),
    Kind("医院收费", "医院", (300, 80000), "乱收费 过度检查 收费不透明 重复收费 医保结算问题", "退还多收的钱 公开收费 规范收费", """
        在{n}看个[感冒|腰痛]，开了{a}的检查 {n}清单里有[没做过的项目|两次一样的收费] 母亲住院，{n}每天护理费按特级算 {n}要求转到门诊自费买药，去{r}的指定药房 医保说能报，{n}结算时又说目录外 {n}出院不给[明细|病历]，跑了三次
        术前说{a}，术后{n}要加一倍 {n}的医生让加[微信|耗材商]付款 押金{a}在{n}退了一个月没到账 上过{n}的病友群有{k}人反映同样的事 {n}医保科说系统问题，[下月|以后]再来 家里没钱就停药，{n}太冷漠"""),
    Kind("医院挂号", "医院", (20, 800), "挂号难 停车难 号贩子 排队太久 就诊秩序混乱", "好挂号 规范秩序 增加窗口", """
        {n}的专家号[零点秒没|总是约满]，门口却有人卖 早上五点到{n}排队，轮到时没号 {n}停车要等[一个半小时|很久]，车排到{r} 号贩子在{n}大厅加价{a}，保安不管 老人不会用手机，{n}取消了窗口 {n}检查约到[两周|一个月]后，病等不起
        {n}的[电梯|自助机]坏了一半 候诊区{k}个人挤着，{n}没有叫号 {n}急诊护士[态度差|互相推]，晾着病人 {r}上的救护车进不了{n} {n}取报告要跑三栋楼，没有指引"""),
    Kind("养殖场臭气", "养殖场 村", (5000, 200000), "臭气熏天 养殖粪污直排 猪粪臭味 养殖污染", "治住臭味 搬迁 停止排污", """
        {n}的臭味一到[傍晚|刮南风]就过来，饭都吃不下 {n}粪水[夜里偷排|顺着沟流到河里]，鱼死了一片 {n}离最近的人家才[一百五十|八十]米 苍蝇多得晾不了衣服，{n}{k}口人受罪 举报后{n}撒点石灰就算整改
        {n}存栏上千头，[没有环评|手续是散户的] 井水有味道，{n}附近都买水喝 死猪埋在{r}边上，{n}没人承认 {n}说投了{a}治污，设备根本不开 亲戚来一次就不来了，{n}名声坏掉 沼气池满了，{n}直接往田里放 {r}上运粪车漏一路"""),
    Kind("道路坑洼", "道路 村", (500, 30000), "坑洼不平 破损严重 年久失修 修了一半停工 积水难行", "修好 完工通车 不再颠簸", """
        {n}全是坑，[下雨变水塘|晴天满是灰]，电动车摔过好几个 {n}修了[两|三]年没修完，围挡一直在 大货车从{r}绕到{n}，越压越烂 {n}的井盖[下沉|翘起]，夜里看不见 我车胎在{n}爆了，换胎{a} 补过的地方一个月又烂，{n}用的什么料
        {n}是{k}个学生上学的路，家长提心吊胆 施工方撤走了，{n}剩下一段土路 {r}到{n}这段没人认领，交通和住建互推 {n}雨天积水到[脚踝|膝盖]，排水口堵着 说好[年底|国庆前]通车，{n}还在挖 老人在{n}跌倒骨折，没处讲理"""),
    Kind("路灯", "道路 村 楼盘", (200, 8000), "路灯不亮 没有路灯 路灯坏了没人修 夜间漆黑", "亮起路灯 装上路灯 修好路灯", """
        {n}的路灯[坏了大半|一盏都不亮]，晚上黑漆漆 {n}立了灯杆[一年|大半年]没有通电 下晚自习的学生走{n}，[打着手电|家长来接] {n}上个月有人被撞，就是因为看不清 路灯所说{n}没移交，不归他们 从{r}拐进{n}就没光了
        {n}{k}户夜里不敢出门 灯被树挡着，{n}等于没有 村里收过{a}装灯钱，{n}没见装 {n}有灯的那几盏[一闪一闪|半夜就关] 报修单号有四个，{n}还是黑的 {r}新换了灯，隔壁的{n}却没人问"""),
    Kind("停车收费", "道路 楼盘 医院", (5, 900), "停车乱收费 停车费太贵 路边停车收费不合理 停车收费没有公示", "取消不合理收费 公示收费依据 降低停车费", """
        {n}停[二十分钟|一会儿]就收{a}，没有免费时段 {n}的收费员穿着[马甲|便衣]，不给票 {n}画线的车位原来免费，现在每小时收钱 没人提醒，{n}攒成{a}的欠费短信来了 收费公司是谁、批文在哪，{n}的牌子上没有 {n}的居民晚上回家也要交，[一个月几百|比油费还高]
        {r}划线占了慢车道，{n}更堵 {n}扫码缴费[多扣|重复扣]，客服不退 附近{k}户没有别处可停，只能停{n} {n}限时停放写得小，专等人超时 {n}的包月一年涨三回，现在要{a} 为啥{r}不收，{n}要收"""),
    Kind("绿地被占", "楼盘 广场", (10000, 300000), "绿地被占 毁绿改停车位 公共绿地被侵占 砍树建房", "还绿于民 恢复绿化 停止毁绿", """
        {n}的草坪被铺成[水泥地|植草砖]停车 {n}原来有{k}棵大树，一夜之间砍了 规划里{n}是集中绿地，现在要盖[售楼部|商业楼] {n}被人种了[菜|葱蒜]，浇粪水 围挡把{n}靠{r}的一块圈走，说是临时 绿化补偿{a}进了谁的口袋，{n}没公布
        {n}业主买的就是那片园子，如今没有了 园林部门说{n}报批过，批文不给看 {n}的[灌木|花坛]枯死没人补 推土机进{n}时只有保安在，没告示 {n}的孩子没地方玩，只能去{r} 拍的前后照片很清楚，{n}少了一半绿"""),
    Kind("电梯故障", "楼盘 医院", (2000, 400000), "电梯频繁故障 电梯困人 电梯停用 电梯维修基金 旧电梯更换", "修好电梯 更换电梯 保证电梯安全", """
        {n}[三号|七号|二号]楼电梯一个月坏五回 {n}电梯昨天困人[四十分钟|一个多小时]，铃没人接 {n}的电梯[下坠|急停]过，老人吓得走楼梯 维保单位说主板要{a}，{n}没人出 动用维修基金{n}要签{k}户，凑不齐 {n}电梯年检贴的是[去年|前年]的
        坐轮椅的邻居在{n}半个月没下楼 {n}两台停一台，上班等十几分钟 物业把{n}电梯广告费收走，坏了不修 {n}装的是杂牌，配件停产 消防从{r}赶来救过{n}两次 夜里{n}电梯自己开门关门，哐哐响"""),
    Kind("垃圾站选址", "楼盘 道路 中小学", (10000, 900000), "垃圾站选址不合理 垃圾中转站扰民 垃圾堆放无人清理 垃圾站臭味", "搬走垃圾站 另选地址 清走垃圾", """
        垃圾中转站建在{n}正对面，[不到三十米|隔一堵墙] 选址公示只贴在{r}，{n}没人看见 {n}一到夏天臭得恶心，污水流一地 凌晨四点压缩车在{n}作业，[哐当|倒车]声不断 {n}{k}位居民不同意，街道说已定 原规划在{r}那头，为啥挪到{n}
        投了{a}建站，{n}要的不是这个 {n}的垃圾[三四天|一星期]不收，野狗翻 幼儿和老人住在{n}，谁来保证健康 环评里{n}没算敏感点 清运车漏水，{n}的路黏脚 听说要扩建，{n}更没法住"""),
    Kind("幼儿园收费", "幼儿园", (600, 20000), "乱收费 涨价 不退费 收费不合理 停办不退学费", "退费 按规定收费 公开收费标准", """
        {n}这学期保教费涨到{a}，没有告知 {n}除了学费还收[特色课|延时|被褥]费 小区配套的{n}说是普惠，价格按民办 孩子生病请假[一个月|三周]，{n}不退餐费 {n}突然说停办，交的{a}不还 不报[英语|舞蹈]班，{n}老师就冷落孩子
        {n}要交赞助费才给名额 {n}{k}名家长在群里要说法，被踢出去 园长说{n}亏损，[让家长体谅|要转让] {n}收钱用个人码，没收据 从{r}搬来新园，{n}甲醛味很重还催缴费 教育部门答复{n}备案价，和实收差很多"""),
    Kind("社保补缴", "公司", (5000, 160000), "养老金补缴 社保断缴 未给职工缴社保 退休手续办不了 工龄不认定", "补缴社保 让老职工退休 认定工龄", """
        我在{n}干了[十九|二十三]年，社保只有[六|九]年 {n}改制时欠缴的养老金，至今没补 到了退休年龄，{n}的档案[找不到|缺页] 去社保局说要{n}盖章，{n}早就注销 自己补要{a}，而{n}当年是扣了工资的 {n}像我这样的有{k}人，都六十上下
        {n}按最低基数交，退休金差一大截 临时工的年头{n}不认，[工资表|工作证]都有 原厂址在{r}，卖地的钱{n}没用来补社保 主管局推给人社，人社推给{n} {n}留守处一周开一天门 每月药费都不够，就等{n}这笔"""),
    Kind("物业更换", "楼盘", (500, 60000), "物业更换 前期物业不退场 业委会成立受阻 换物业被阻挠 物业不作为", "换掉物业 成立业委会 让老物业退场", """
        {n}投票换物业通过了，老物业[赖着不走|不交资料] {n}筹备组报上去[半年|八个月]，街道没批 {n}物业费一年收{a}，保洁保安都看不见 业委会账目{n}从没公布，公共收益去哪了 {n}{k}户里七成同意，社区还说程序有瑕疵 新物业进场那天，{n}门口[两帮保安对峙|断了门禁]
        {n}物业把[广告|车位]的钱装进自己口袋 老物业走前砸了{n}监控室 社区主任帮{n}物业说话，让人怀疑 {n}大门靠{r}那个被锁，绕一大圈 催费把{n}老人告上法院，服务却没有 {n}表决票被[代签|作废]，要求重新验"""),
    Kind("广场舞噪声", "广场 楼盘", (300, 5000), "广场舞噪声扰民 音响太大 跳舞噪声 甩鞭陀螺噪声", "降低音量 还居民安静 规定跳舞时间", """
        {n}的广场舞早上[五点半|六点]就开，音箱对着楼 {n}晚上有[四|五]支队伍比谁声音大 孩子[中考|高考]，跟{n}跳舞的说小声，被骂 {n}抽陀螺甩鞭子像放炮，心脏受不了 派出所来{n}劝过，走了又放大 {n}装的分贝牌显示[八十|七十八]，没人理
        隔着{r}都听得清歌词，{n}附近关窗没用 {n}领舞的收会费{a}，是做生意 {n}周围{k}户，夜班的白天也睡不着 建议{n}的队伍去[体育馆|河边]跳 拉二胡唱戏的也来{n}，到十点半 管理处说{n}没有执法权"""),
    Kind("延期交房", "楼盘", (3000, 120000), "延期交房 烂尾停工 迟迟不复工 交房遥遥无期", "交房 复工 给业主一个家", """
        {n}合同写的[前年|去年]底交房，现在楼里没窗户 {n}工地只有[三五个|十来个]工人装样子 一边还房贷{a}，一边租房，就为{n} 监管账户的钱被{n}挪走，谁批的 {n}{k}户业主，大多是外地打工的 说列入保交楼，{n}的塔吊还是不转
        {n}在{r}的售楼部关了门，沙盘都搬走 {n}发的延期通知一封接一封 总包和{n}打官司，苦了买房人 结婚等{n}的房，[女方|对象]都要散 {n}外墙刷了漆，里面是毛坯泥 要求公布{n}复工的每月节点"""),
)
HEADS = _words("""
反映{n}{t}的问题 关于{n}{t}的投诉 {n}何时才能{w}？ 咨询{n}{t}一事 {n}{t}，请领导关注 投诉{n}{t} 请求处理{n}{t} {n}{t}，到底谁来管？ 再次反映{n}{t} 求助：{n}{t} 关于{n}{t}的[建议|诉求|情况反映]
请问{n}什么时候能{w}？ {n}{t}问题长期得不到解决 恳请书记过问{n}{t} {n}{t}[太久了|已有多年] 就{n}{t}向市长求助 咨询{n}到底能不能{w} 呼吁有关部门让{n}{w}""")
BARE = _words("关于{t}的投诉 反映{t} {t}，请领导关注 咨询{t}的事 什么时候能{w}？ 求助：{t}")
GREETINGS = _words("""
[尊敬的|敬爱的][领导|书记|市长]，您好。 领导好，打扰您了。 [书记|市长]您好，我是一名普通[市民|居民|退休工人]。 您好，百忙之中看到这条留言[非常感谢|请给个回复]。 第一次在这里留言，不会说话，请[谅解|包涵]。 实在没有办法才来[留言|打扰]。
各位领导辛苦了。 [代|替][父母|邻居们]写下这段话。 请不要再转给原来的单位。 我是本地人，在这住了[十几|三十]年。""")
FILLERS = [*GREETINGS, *_words("""
[盼|望]复，谢谢。 感谢领导[在百忙中|抽空]过目。 希望给老百姓一个[满意的|明白的]答复。 恳请[实地看看|派人走一趟]。 请[督办|挂牌督办]此事。 望能在[年前|本月内]解决。 我们只想过安稳日子。 请给一个[时间表|准确的期限]。 希望[纪委|督查组]也关注一下。 请依法依规办理，不要和稀泥。
相信政府会[为民做主|主持公道]。 我们要求不高，只要[公平|讲理]。 恳求领导[救救我们|拉一把]。 祝领导[身体健康|工作顺利]。 期待[好消息|您的回音]。 我[上有老下有小|一个人带孩子]，实在耗不起。 爱人[下岗|生病]在家，全靠我一份工资。 父亲[七十八|八十二]岁了，[腿脚不便|有心脏病]。
家里两个孩子，一个[上初中|刚满周岁]。 我[身体残疾|刚做完手术]，出门不方便。 房贷每月压得喘不过气。 在外地打工，[一年|半年]才能回来一次。 老伴去年走了，我一个人住。 我们是[双职工|农村户口]，没有门路。 母亲为此[整夜睡不着|掉了很多眼泪]。 孩子今年[中考|高考]，家里气氛很紧张。
前次答复说[正在协调|已转办]，之后没有动静。 上一次留言[被标为已办结|回复得很官方]，事情根本没解决。 收到的回复[答非所问|复制粘贴]，让人失望。 打过[热线|12345]好多次，每次都是记录一下。 工单[被退了两次|转来转去]，最后回到原点。 之前的经办人[调走了|换了人]，一切从头再来。
回访电话问我满不满意，我说不满意，[就挂了|还是办结]。 街道和[区里|局里]互相踢皮球。 信访局给过一张[受理单|告知书]，然后没有然后。 上次承诺的[三个月|半年]早就过去。 答复里说的情况[与事实不符|我们不认可]。 您的上一任也批示过，[没落实|不了了之]。 媒体来拍过，[没播|播了也没用]。
去年两会也有[代表|委员]提过这个事。 这座城市变化很大，可[老百姓的小事|背街小巷]没人管。 大街上光鲜，里头一团糟。 人人都说营商环境好，[百姓的环境|我们的日子]呢。 物价涨得快，工资不见涨。 年轻人都往外走，不是没有原因。 我爱这座城，所以才[着急|多说几句]。 创文的时候突击一阵，过后[老样子|更糟]。
外地亲戚来了都摇头。 邻近的[城市|县]早就做好了。 税一分没少交，服务却跟不上。 有些部门[门难进脸难看|电话永远占线]。 道理都懂，就是没人[拍板|负责]。 花了那么多钱搞面子工程，不如[办点实事|解决民生]。 附[照片|视频|材料]若干，可以核对。 我所说的句句属实，愿意[当面对质|承担责任]。
我的电话登记时填了，随时可以联系。 如果再没人管，我们只能[向上反映|继续留言]。 不是我一家，[左邻右舍|大家]都有意见。 群里[天天有人骂|议论纷纷]，我还劝大家冷静。 请保护我的个人信息，怕[打击报复|被穿小鞋]。 写到这里心里很不是滋味。 一拖再拖，[黄花菜都凉了|人心都凉了]。 我们不闹事，走正规渠道反映。
也希望公布一个[负责人|联系人]的电话。 听说已经开过会，请把[结果|纪要]告诉我们。 日子一天天过去，问题还在[原地|那里]。 大家选了几个代表，[随时可以座谈|一直没被接待]。""")]
MINOR = _words("""
另外，门口的快递柜[挡道|收费]，也请看看。 顺便说一下，附近的公厕[常年锁着|很脏]。 还有共享单车乱停，[盲道都占了|没人收]。 再提一句，[流浪狗|大型犬]没人牵绳。 同时反映菜市场[缺斤少两|脏乱]。 另外红绿灯时间太短，老人过不去。 附带问一下，老年卡怎么[年审|补办]？
还有宽带只能装一家，[没得选|价格高]。 顺带反映楼下棋牌室[通宵|吵闹]。 另外公园的健身器材[断了|生锈]，怕伤人。 还想问医保异地怎么备案。 再有就是楼道里堆满杂物。 另外天然气[改管子收钱|迟迟不通]。 还有广告牌夜里太亮，[晃眼|照进卧室]。 顺便问问人才补贴什么时候发。 再说一件，河边的水[发黑|有味道]。
另外斑马线磨得看不清了。 还有河堤上有人[烧垃圾|倒渣土]。""")
LENGTHY = _words("""
事情要从[三年前|前年夏天]说起，那时大家都以为很快会有结果，该跑的窗口跑了，该交的材料交了，每去一处都说不归自己管，让去找下一家，一圈转下来又回到了最初的地方，人累心也累。
我把历年的[通知|回复|会议照片]按日期整理成一本，厚厚的有[八十|一百二十]页，谁说过什么话、答应过哪一天办，都清清楚楚，哪位领导愿意看，我随时可以送过去，绝不添油加醋。
我们也理解基层工作不容易，人手少、事情杂，可是再难也该有个先后，眼前这桩牵动这么多家庭，总不能永远排在后面，今天推明天，明天推明年，推到大家都没有了盼头。
上次来调研的同志在现场站了[十分钟|不到一刻钟]，拍了几张相，说回去研究，我们还特意烧水让座，以为遇到了好干部，谁知从那以后再也没见过人影，电话打过去说已经不负责这一块了。
有人劝我算了，说胳膊拧不过大腿，可我咽不下这口气，不为自己也为[后面的年轻人|孩子们]想想，如果每个人都不吭声，吃亏的永远是老实本分的人，这样的风气怎么能好得了。
家里为这个已经吵过很多回，[爱人|儿子]怪我当初的决定，老人在旁边抹眼泪，好好的一个家弄得鸡犬不宁，逢年过节都没有心思走亲戚，别人问起来也不知道怎么开口。
政府网站上写的办理时限是[十五|三十]个工作日，我数着日子等，到期那天系统自动变成了办结，点开里面只有一行字，既没有调查经过，也没有处理依据，这样的办结有什么意义呢。
本人查阅了[相关条例|省里的文件]，上面写得明明白白，属于主管部门的职责范围，却被解释成民事纠纷，让我们自行协商或者打官司，普通人哪有那个时间和钱去打官司，证据又都在对方手里。
大家商量后推选了[五|七]名代表，约了三次座谈，一次说领导出差，一次说会议室占用，最后一次总算坐下来，却只让我们讲，不给任何表态，连会议记录都不肯让我们签字留底。
我[白天上班|要看店]，只能晚上趴在桌子上写这些字，文化不高，写得啰嗦，还望耐心看完，因为每一句都是我们这些住户的真实感受，没有一点夸张，欢迎随时派人来住上一晚体会体会。""")
LINKS = _words("。 。 。 ， ； ！")
NUMBERS = "0123456789零一二三四五六七八九"
# fmt: on
SOUNDS = {sign: group.replace(sign, "") for group in SYLLABLES for sign in group}
TEXTS = {kind.name: kind.texts.split() for kind in KINDS}
FIT = {sort: [kind for kind in KINDS if sort in kind.sorts.split()] for sort in SORTS}


def grievances(count: int, seed: int, *, start: datetime = START, days: int = 900) -> list[Filed]:
    """Messages in order of time; equal arguments give equal ones."""
    if count < 0 or days < 60:
        raise ValueError("need no fewer than 0 messages and 60 days")
    rng = Random(seed)
    rows = [row for matter in _Board(rng, count, days).plan() for row in _write(rng, matter, start, days)]
    _assign_serial(rng, rows)
    rows.sort(key=lambda row: (row.filed_at, row.person_id))
    persons, incidents = dict[int, int](), dict[int, int]()
    for cid, row in enumerate(rows):
        # Numbers by first appearance tell nothing of how the messages were made.
        row.cid = cid
        row.person_id = persons.setdefault(row.person_id, len(persons))
        row.incident_id = incidents.setdefault(row.incident_id, len(incidents))
    return rows


class _Board:
    """Matters as they are laid out."""

    def __init__(self, rng: Random, count: int, days: int) -> None:
        self.rng, self.count, self.days = rng, count, days
        self.matters: list[_Matter] = []
        self.filed = self.large = 0
        self.known: defaultdict[str, list[Subject]] = defaultdict(list)
        self.taken: defaultdict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
        self.cities = list(dict.fromkeys(_anywhere(rng).city for _ in range(12)))

    def plan(self) -> list[_Matter]:
        rng, goal = self.rng, round((1 - ALONE) * self.count)
        together = 0
        while together + 1 < goal:
            size = min(int(2 * rng.random() ** (-1 / TAIL)), MOST, max(2, self.count // 12), goal - together)
            kind = rng.choice(KINDS)
            if matter := self.lay(kind, self.subject(rng.choice(kind.sorts.split())), self.spread(max(2, size))):
                together += len(matter.days)
                self.large += len(matter.days) >= LARGE
                if len(matter.days) > 4 and rng.random() < LETTERS:
                    matter.letter = self.letter(matter)
                self.distract(matter)
        while self.filed < self.count:
            kind = rng.choice(KINDS)
            self.lay(kind, self.subject(rng.choice(kind.sorts.split())), [rng.random() * self.days])
        return self.matters

    def lay(self, kind: Kind, subject: Subject, days: list[float], namesake: bool = False) -> _Matter | None:
        """A matter, unless a like one is too near in time, or there are enough."""
        rng, taken = self.rng, self.taken[subject.short, kind.name]
        start, end = days[0], days[-1]
        near = any(start <= last + APART + 2 and end >= first - APART - 2 for first, last in taken)
        if (near and not namesake) or start < 0 or end > self.days - 1 or self.filed + len(days) > self.count:
            return None
        taken.append((start, end))
        low, high = kind.yuan
        crowd = rng.choice(("{}", "{}多", "近{}", "{}余")).format(rng.choice((80, 120, 200, 300, 460, 600, 900, 1300, 2000)))
        yuan = int(low * (high / low) ** rng.random())
        matter = _Matter(len(self.matters), kind, subject, days, yuan, crowd, namesake)
        self.matters.append(matter)
        self.filed += len(days)
        return matter

    def distract(self, matter: _Matter) -> None:
        """What looks like the incident and is not: other places and matters in its time, its like long after or before."""
        rng, kind, subject = self.rng, matter.kind, matter.subject
        start, end = matter.days[0], matter.days[-1]

        for _ in range(rng.choice((1, 1, 2))):
            self.lay(kind, self.subject(subject.sort, subject.place.city, like=subject), [rng.uniform(start, end)])
        others = [other for other in FIT[subject.sort] if other is not kind]
        if others:
            self.lay(rng.choice(others), subject, [rng.uniform(start, end)])
        later, earlier = end + APART + 4, start - APART - 4
        if later < self.days - 1:
            self.lay(kind, subject, [rng.uniform(later, min(self.days - 1, later + 120))])
        elif earlier > 0:
            self.lay(kind, subject, [rng.uniform(max(0, earlier - 120), earlier)])
        if subject.ordinary and (towns := [city for city in self.cities if city != subject.place.city]):
            place = rng.choice(TOWN[rng.choice(towns)])
            twin = Subject(subject.sort, subject.name, subject.short, True, False, place, self.road())
            self.lay(kind, twin, [rng.uniform(start, end)], namesake=True)

    def spread(self, size: int) -> list[float]:
        """Days of an incident's messages, in bursts; every fourth large one has one long gap, others of them have none."""
        rng, large, (least, most) = self.rng, size >= LARGE, GAPS
        low, high = SPANS[0], min(SPANS[1], 0.8 * self.days)
        long = large and self.large % 4 == 0 and high > 2 * most
        span = low * ((high - most * long) / low) ** rng.betavariate(1.2 + 0.3 * large, 1.5)
        raw = [rng.gammavariate(0.5, 1) + 1e-3 for _ in range(size - 1)]
        gaps = [min(gap * span / sum(raw), least - 4 if large else most) for gap in raw]
        if long:
            gaps[rng.randrange(len(gaps) // 4, len(gaps) - len(gaps) // 4)] = rng.uniform(least, most)
        if sum(gaps) < low:
            gaps[0] += low - sum(gaps)
        days = [rng.random() * (self.days - 1 - sum(gaps))]
        for gap in gaps:
            days.append(days[-1] + gap)
        return days

    def letter(self, matter: _Matter) -> tuple[str, ...]:
        """A draft that some writers share, headline first: its choices are made, names are left to them."""
        rng, kind = self.rng, matter.kind
        head = rng.choice(HEADS).replace("{t}", rng.choice(kind.topics.split())).replace("{w}", rng.choice(kind.wishes.split()))
        told = [text + "。" for text in rng.sample(TEXTS[kind.name], rng.randint(4, 6))]
        told += [*rng.sample(FILLERS, 2), *([_lengthy(rng)] if rng.random() < 0.4 else [])]
        texts = [_spin(rng, text) for text in (head if head.endswith("？") else head + "。", *told)]
        facts = {"{a}": _money(matter.yuan) + "元", "{r}": matter.subject.road, "{k}": matter.crowd}
        return tuple(re.sub(r"\{[ark]\}", lambda slot: facts[slot[0]], text) for text in texts)

    def subject(self, sort: str, city: str = "", like: Subject | None = None) -> Subject:
        """A new one or, at times, one that was written about before; some have a sign in common with another."""
        rng = self.rng
        if not like and self.known[sort] and rng.random() < 0.2:
            return rng.choice(self.known[sort])
        place = rng.choice(TOWN[city or rng.choice(self.cities)])
        name, short, ordinary = self.name(sort)
        if like and not like.ordinary and sort != "公交" and rng.random() < 0.3:
            head, sign = like.short[:1], rng.choice([sign for sign in SIGNS if sign not in SOUNDS.get(like.name[1], "")])
            if sign != like.name[1]:
                end = rng.choice(SORTS[sort].ends.split())
                name, ordinary = head + sign + end, False
                short = name if SORTS[sort].keep else head + sign
        subject = Subject(sort, name, short, ordinary, sort == "楼盘" and rng.random() < 0.4, place, self.road())
        self.known[sort].append(subject)
        return subject

    def name(self, sort: str) -> tuple[str, str, bool]:
        rng, (ends, _, _, ordinary, keep) = self.rng, SORTS[sort]
        if sort == "道路":
            road = self.road()
            return road, road, road[:2] in ROADS.split()
        end = rng.choice(ends.split())
        if sort == "公交":
            number = rng.choice(("", "", "", "K", "快", "夜")) + str(rng.randint(1, 999))
            return number + end, number + "路", False
        if ordinary and rng.random() < 0.15:
            name = rng.choice(ordinary.split())
            return name, name, True
        if sort == "平台" and rng.random() < 0.35:
            stem = "".join(rng.choice(NUMBERS[:10] if rng.random() < 0.7 else NUMBERS[10:]) for _ in range(rng.choice((2, 3, 3))))
            return stem + end, stem + end, False
        stem = "".join(rng.sample(SIGNS, rng.choice((2, 2, 2, 3) if sort != "楼盘" else (2, 2, 2, 3, 4))))
        return stem + end, stem + end if keep else stem, False

    def road(self) -> str:
        rng = self.rng
        stem = rng.choice(ROADS.split()) if rng.random() < 0.15 else "".join(rng.sample(SIGNS, 2))
        return stem + rng.choice(ROAD_KINDS.split())


def _write(rng: Random, matter: _Matter, start: datetime, days: int) -> list[Filed]:
    """The messages of a matter; some people write of it again."""
    rows: list[Filed] = []
    times: defaultdict[int, int] = defaultdict(int)
    size, place, kind = len(matter.days), matter.subject.place, matter.kind
    for turn, day in enumerate(matter.days):
        seconds = 3600 * bisect(HOURS, rng.random() * HOURS[-1]) + rng.randrange(3600)
        moment = start + timedelta(days=min(int(day), days - 1), seconds=seconds)
        person = matter.number * (MOST + 1) + turn
        if turn and rng.random() < 0.06 and times[again := rng.choice(rows).person_id] < 4:
            person = again
        times[person] += 1
        told = rng.random() >= UNTOLD
        rows.append(Filed(
            0, moment, _tell(rng, matter), None, None, place.city if told else None, place.district if told else None, None, None,
            person, matter.number, -1, -1, kind.name, "area" if size > 1 else "single",
        ))  # fmt: skip
    return rows


def _called(rng: Random, subject: Subject) -> tuple[str, str]:
    """The name as a writer puts it first, and as they do from then on."""
    name, short = subject.name, subject.short
    form = rng.random()
    if subject.ordinary:
        short = name
    elif form < 0.3:
        name = short
    if subject.sort in ("公司", "厂") and not subject.ordinary and form > 0.85:
        name = name.removesuffix("公司") + "有限公司"
    if subject.sort != "平台" and (rng.random() < (0.6 if subject.ordinary else 0.18)):
        district, city = subject.place.district, subject.place.city
        name = rng.choice((district, district, re.sub("(?<=..)[区县市]$", "", district), SHORT[city] + district, city)) + name
    if subject.phases and rng.random() < 0.35:
        name += rng.choice(("二期", "一期", "三期", "2期", "（二期）"))
    return name, short if rng.random() < 0.7 else name


def _money(amount: int) -> str:
    """An amount as people round it, without its unit."""
    unit = 10 ** max(0, len(str(amount)) - 2)
    amount = amount // unit * unit
    return f"{amount / 10_000:g}万" if amount >= 10_000 else str(amount)


def _yuan(rng: Random, matter: _Matter) -> str:
    """The matter's amount or one about as large."""
    amount = matter.yuan if rng.random() < 0.5 else max(1, int(matter.yuan * rng.uniform(0.4, 2)))
    return _money(amount) + rng.choice(("元", "元", "块", "块钱") if amount < 10_000 else ("元", "元", "", "块钱"))


def _lengthy(rng: Random) -> str:
    """Some clauses of what people write at length: whole, it would look like a shared letter."""
    clauses = rng.choice(LENGTHY).rstrip("。").split("，")
    kept = sorted(rng.sample(range(len(clauses)), rng.randint(2, len(clauses) - 1)))
    return "，".join(clauses[spot] for spot in kept) + "。"


def _tell(rng: Random, matter: _Matter) -> str:
    """A headline, the matter in free order, what else people write."""
    kind, subject = matter.kind, matter.subject
    sort = SORTS[subject.sort]
    name, later = _called(rng, subject)
    nameless = sort.nameless.split()
    if matter.told:
        name = f"{subject.place.city}{subject.place.district}{subject.name}"
    elif rng.random() < ROAD_ONLY and subject.sort != "平台":
        if subject.sort == "道路":
            name = later = subject.name
        else:
            name = f"{subject.road}{rng.choice(('附近', '旁边', '上', '那边', '边上'))}{rng.choice(('', '的'))}{sort.noun}"
            later = rng.choice(nameless)
    typo = rng.random()
    if typo < 0.6 * TYPOS:
        name = _put(rng, name, SOUNDS)
    road = subject.road

    def fill(text: str, first: str = "") -> str:
        called = first or (later if rng.random() < 0.4 else rng.choice(nameless))
        return text.format(n=called, a=_yuan(rng, matter), r=road, k=matter.crowd)

    headed = rng.random() < 0.92 or matter.told
    head = rng.choice(HEADS if headed else BARE).format(
        n=name, t=rng.choice(kind.topics.split()), w=rng.choice(kind.wishes.split())
    )
    head += "" if head.endswith("？") else rng.choice(LINKS)
    copied = bool(matter.letter) and rng.random() < COPIES
    if copied:
        first, *told = matter.letter
        head, headed = (head, headed) if rng.random() < 0.3 else (first.format(n=name), True)
        if rng.random() < 0.4:
            told.pop(rng.randrange(len(told)))
        if rng.random() < 0.2:
            spot = rng.randrange(len(told) - 1)
            told[spot : spot + 2] = told[spot + 1], told[spot]
        fillers = rng.sample(FILLERS, rng.choice((0, 0, 1)))
        parts = [text.format(n=name if spot < 1 else subject.short) for spot, text in enumerate(told)]
    else:
        core = rng.sample(TEXTS[kind.name], rng.choice((2, 2, 3, 3, 3, 4, 4, 5, 6)))
        parts = [fill(text, "" if headed or spot else name) + rng.choice("。。。。！；") for spot, text in enumerate(core)]
        fillers = rng.sample(FILLERS, rng.choice((1, 1, 2, 2, 3, 4)))
        for _ in range(rng.choices((0, 1, 2, 4, 7), (55, 20, 12, 8, 5))[0]):
            parts.insert(rng.randint(1, len(parts)), _lengthy(rng))
    greetings = [text for text in fillers if text in GREETINGS[:6]]
    for text in fillers:
        if text not in greetings:
            parts.insert(len(parts) if rng.random() < 0.7 else rng.randint(0, len(parts)), text)
    if rng.random() < (0.05 if copied else 0.15):
        parts.append(rng.choice(MINOR))
    parts = [_spin(rng, text) for text in ((*greetings, head, *parts) if rng.random() < 0.5 else (head, *greetings, *parts))]
    if not headed and name not in "".join(parts):
        parts.insert(1, f"说的是{name}。")
    text = _fit(rng, parts)
    return _put(rng, text, SLIPS) if 0.6 * TYPOS <= typo < TYPOS else text


def _fit(rng: Random, parts: Iterable[str]) -> str:
    """The message within its lengths, a margin left for slips."""
    kept = list(parts)
    while len("".join(kept)) <= SHORTEST + 1:
        kept.append(_spin(rng, rng.choice(FILLERS)))
    while len("".join(kept)) >= LONGEST:
        kept.pop()
    return "".join(kept).rstrip("；") + ("。" if kept[-1].endswith("；") else "")


def _assign_serial(rng: Random, rows: list[Filed]) -> None:
    """A few people write about many matters, of one city."""
    alone = [row for row in rows if row.scope == "single"]
    rng.shuffle(alone)
    for person in range(1, len(rows) // 2500 + (len(rows) >= 200) + 1):
        for row in [alone.pop() for _ in range(min(len(alone), rng.randint(6, 20)))]:
            row.person_id = -person
