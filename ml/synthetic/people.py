"""Seeded, made-up complainants as complaint systems hold them, with the truth of who is who: for tests of linkage.

A value is first what its holder would give in full; the channel then leaves fields out, and each noise spoils its share
of a column, in the order of the calls. Nobody here is real; the places, their codes and their dialling codes are.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from ml.synthetic.complaints import CHINA, DEFAULT_END, ESTATES, MOBILE, OFFICE, WAKING

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Column = list[str | None]


@dataclass(frozen=True, slots=True)
class Noise:
    """Shares of values to spoil, before a channel's leaning (HEARD, EXPORTED, TYPED)."""

    name_missing: float = 0.02  # not told where the channel asks; likewise below
    name_homophone: float = 0.02  # 张晓明 for 张小明
    name_wrong: float = 0.008  # any other character
    name_dropped: float = 0.008  # one of three or more characters left out
    name_traditional: float = 0.008  # 張偉
    name_dot: float = 0.3  # of names with a middle dot: another dot, or none
    name_masked: float = 0.02  # 王*明, 王**, 王某, *小明
    name_titled: float = 0.03  # 王先生
    name_spaced: float = 0.012  # 张 伟
    name_filler: float = 0.008  # 匿名
    id_missing: float = 0.05
    id_digit: float = 0.008  # a wrong digit
    id_old: float = 0.005  # the form of 15 digits, of those born before 2000
    id_lowercase: float = 0.25  # of those that end in X
    id_masked: float = 0.04  # 110101********1234
    id_paper: float = 0.01  # a passport or permit instead
    phone_missing: float = 0.02
    phone_digit: float = 0.008  # a wrong digit
    phone_swapped: float = 0.004  # two neighbours swapped
    phone_dropped: float = 0.002  # a digit left out
    phone_letter: float = 0.003  # O for 0, l for 1
    phone_masked: float = 0.03  # 138****5678
    phone_landline: float = 0.012  # the household's, some with an extension
    phone_double: float = 0.008  # two numbers in one field
    phone_format: float = 0.05  # +86, spaces, dashes, full-width digits
    phone_placeholder: float = 0.006  # 13800138000, 12315
    area_missing: float = 0.03  # province and city not told; the district is left out more often
    area_short: float = 0.04  # 湖北 for 湖北省
    address_missing: float = 0.05
    address_area: float = 0.6  # province, city or district left out or shortened
    address_form: tuple[int, ...] = (30, 24, 14, 16, 16)  # weights of the forms in HOUSES
    address_digit: float = 0.01  # a digit left out
    handle_missing: float = 0.05  # wechat and email
    handle_case: float = 0.04  # in capitals
    handle_filler: float = 0.01  # 无
    device_missing: float = 0.03
    openid_missing: float = 0.02


DEFAULT = Noise()
NOISES = {
    "default": DEFAULT,
    "hotline": Noise(
        name_missing=0.06, name_homophone=0.08, name_titled=0.15, name_filler=0.03, id_missing=0.75, phone_landline=0.06,
        phone_digit=0.02, address_missing=0.3, address_area=0.8, address_form=(15, 10, 15, 35, 25),
    ),
    "masked_export": Noise(
        name_masked=0.6, id_masked=0.9, phone_masked=0.7, address_missing=0.4, openid_missing=0.7, device_missing=0.7,
        handle_missing=0.5, handle_filler=0.1,
    ),
    "typos": Noise(
        name_homophone=0.06, name_wrong=0.05, name_dropped=0.04, name_traditional=0.08, name_spaced=0.05, id_digit=0.06,
        id_lowercase=0.6, phone_digit=0.05, phone_swapped=0.03, phone_dropped=0.02, phone_letter=0.02, phone_format=0.2,
        address_digit=0.08, handle_case=0.2,
    ),
}  # fmt: skip

# fmt: off
# Channel: its share, its hours, and of 100 records those that fill each of FIELDS (area is province and city).
FIELDS = ("name", "id_no", "phone", "openid", "wechat", "email", "device", "area", "district", "address")
CHANNELS = {
    "app": (25, WAKING, (95, 30, 95, 94, 10, 6, 90, 94, 88, 45)),
    "web": (23, WAKING, (99, 50, 97, 10, 18, 34, 80, 97, 92, 75)),
    "wechat": (10, WAKING, (93, 15, 90, 98, 30, 3, 40, 90, 85, 40)),
    "hotline": (20, OFFICE, (98, 5, 98, 0, 4, 2, 0, 97, 90, 70)),
    "visit": (4, OFFICE, (99, 80, 86, 0, 5, 8, 0, 99, 94, 92)),
    "letter": (4, OFFICE, (97, 55, 80, 0, 4, 10, 0, 96, 90, 90)),
    "import": (9, WAKING, (97, 55, 90, 10, 5, 15, 0, 96, 90, 60)),
    "12345": (5, WAKING, (94, 8, 96, 0, 3, 2, 0, 97, 92, 65)),
}
# What a noise is multiplied by in a channel: clerks write by ear and type with care, exports hide.
HEARD = {"hotline": 4.0, "12345": 3.0, "visit": 2.0}
TYPED = {"hotline": 0.3, "12345": 0.3, "visit": 0.3}
EXPORTED = {"import": 14.0, "12345": 2.0}
EVEN: dict[str, float] = {}
DAYS = 1095
PROFESSIONALS, PILES, AGENTED = 0.06, (20, 190), 0.045  # shares of records; records of one professional
QUIET, NEAR = 90 * 86_400, 60  # seconds before a number is handed out again; estates in a district
BORN, ADULT = date(1940, 1, 1), 24_300  # the first day of birth, and how many days later the last
# Surnames, and given names by gender, the common ones first.
SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许邓韩冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦"
    "贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常汤康易乔赖牛洪施温季俞章鲁葛倪庞申邢翟兰殷樊焦柳包左"
)
COMPOUND = "欧阳 上官 诸葛 司马 皇甫 夏侯 令狐 慕容 司徒 尉迟 东方 端木 南宫 公孙"
MALE = (
    "伟强磊军勇涛超明刚杰平辉鹏飞斌波宇浩凯健俊建国志华文林峰海龙东亮新永成小光春玉庆福德金荣立生宝清祥瑞良友胜民晓家学云宏振正少世"
    "利中大天子思雨嘉泽轩博晨昊阳旭彬威帅洋康鑫坤栋梁松柏山河江川源泉润雷震霖森茂盛兴旺富贵财来喜顺和安宁静远达通进步升高长城铁钢锋"
    "锐剑武魁彪雄英豪才能智慧仁义礼信忠孝诚厚广宽恒毅坚定章书翰墨彦儒哲贤圣尧景晖昌昱晟晗昕晔朝夕启航帆舟洲浪潮洪流滨淼洁深渊涵泓沛"
    "沐湛溪汉湘沪津京豫冀鲁桂秋冬夏季南北西方联双元贞吉禄寿祺祯祖宗耀煌炎焱灿烨炜炳烽煜熙爱惠仲伯孟心怀念恩佑佐保卫护守望希冠群伦伍"
)
FEMALE = (
    "芳娜敏静丽艳娟霞秀玲英燕红梅琳洁丹萍雪慧莉倩婷欣怡佳悦兰玉桂凤淑华珍美芬云春小琴花香月莲翠爱晶颖晓文金瑞巧素青荣平清利新思雨梦"
    "雅诗涵子梓馨彤璐瑶瑾瑜琪琦琼珊珠珂玮莹菲菊茹荷萱蕾薇芸蓉蓓芝芹苗茜茵莎菁萌蕊芮苑丛艺苹若菀蓝蔓薏楠楚桃杏柳枝桐榕樱枫桦林森娇婉"
    "媛嫣妍娅妮姗娥姣妹婕嫦娴嬿姝好如妙姿娉娆晴晨曦昕晗昱晔映明旭景阳星辰夏秋冬冰凝溪沁沛泽润淼湘滢潇澜洋洲海江波涟漪珺珏珮环璇璟琬"
    "瑛琰珑玥玫蝶凡帆依伊仪仙俐佩伟俊信岚峰巍心怀恩惠意愉忆悠恬情忻念忱惜安宁宜宛容宝宏家寒宸宇颜韵音乐歌声吟唱笛舞霓虹霏霖雯露雁鸿"
)
# Names of Xinjiang: one's own, by whether of a man, and a father's.
OWN = {
    True: "艾尔肯 买买提 吐尔逊 阿不都 艾合买提 玉素甫 库尔班 依明 帕尔哈提 木拉提 努尔兰 叶尔兰 巴特尔 阿迪力 麦麦提 卡米力",
    False: "阿依古丽 古丽娜尔 阿依努尔 热依汗 帕提古丽 米热古丽 迪丽努尔 祖丽皮亚 茹仙古丽 阿孜古丽 玛依拉 再娜普 巴哈尔 古丽米热",
}
FATHERS = "买买提 吐尔逊 艾合买提 玉素甫 库尔班 依明 阿不力孜 肉孜 热合曼 卡德尔 司马义 达吾提 赛买提 牙生 尼亚孜 阿吾提 托合提 艾买提 沙吾提"
# Each character and its traditional form.
TRADITIONAL = (
    "张張刘劉陈陳杨楊黄黃赵趙吴吳孙孫马馬罗羅郑鄭谢謝许許邓鄧韩韓冯馮蒋蔣余餘叶葉苏蘇吕呂卢盧钟鍾谭譚陆陸韦韋贾賈邹鄒闫閆龙龍贺賀顾"
    "顧龚龔万萬钱錢严嚴汤湯乔喬赖賴温溫鲁魯庞龐兰蘭欧歐阳陽诸諸迟遲东東宫宮伟偉强強军軍涛濤刚剛杰傑辉輝鹏鵬飞飛凯凱国國华華峰峯庆慶"
    "荣榮宝寶晓曉学學泽澤轩軒帅帥栋棟润潤兴興贵貴财財来來顺順宁寧静靜远遠达達进進长長铁鐵钢鋼锋鋒锐銳剑劍义義礼禮诚誠广廣宽寬恒恆坚"
    "堅书書彦彥贤賢圣聖尧堯晖暉晔曄启啓滨濱洁潔渊淵汉漢沪滬联聯双雙贞貞禄祿寿壽祯禎灿燦烨燁炜煒爱愛怀懷卫衛护護群羣伦倫丽麗艳豔红紅"
    "悦悅凤鳳莲蓮颖穎梦夢诗詩瑶瑤琼瓊玮瑋莹瑩丛叢艺藝苹蘋蓝藍樱櫻枫楓桦樺娇嬌娅婭姗姍娴嫺娆嬈滢瀅潇瀟澜瀾涟漣环環珑瓏仪儀岚嵐忆憶颜"
    "顏韵韻乐樂声聲鸿鴻"
)
FORMER = str.maketrans(TRADITIONAL[::2], TRADITIONAL[1::2])
# Each syllable and characters of names that sound so.
SOUNDS = """
ai爱艾 an安鞍按 bai白柏 bao包宝保鲍 bei北蓓 biao彪 bin斌彬滨缤 bing炳冰兵 bo波博伯 bu步 cai蔡财才彩 can灿 cao曹草
chang常长昌嫦唱 chao超朝潮 chen陈晨辰忱宸 cheng程成城诚 chi迟驰 chu楚初 chuan川传 chun春纯 cong丛 cui崔翠 da大达 dai戴代带待
dan丹单 de德 deng邓登 di笛迪帝 die蝶 ding丁定鼎 dong董东栋冬 du杜度 duan段端断锻 e娥 en恩 fan范樊帆凡 fang方芳 fei飞菲霏
fen芬纷粉 feng冯峰锋烽凤枫 fu付甫福富 gang刚钢港纲 gao高篙 ge葛歌鸽盖 gong龚宫公功 gu顾谷故固 guan官冠贯 guang光广 gui贵桂
guo郭国 hai海 han韩翰晗涵汉寒 hang航杭 hao郝浩昊豪好 he何贺河和荷 heng恒亨 hong洪宏泓红虹鸿 hou侯厚后候 hu胡狐沪护 hua华花桦画
huai怀 huan环欢 huang黄皇煌凰 hui辉慧晖惠 ji季冀吉纪 jia贾家嘉佳 jian健建剑坚 jiang蒋姜江 jiao焦娇姣交 jie杰洁婕 jin金进津瑾
jing静景京晶菁璟 ju菊驹 juan娟鹃绢 jue珏 jun军俊珺君 kai凯锴 kang康 ke珂柯轲可 kong孔 kuan宽 kui魁葵 kun坤昆 lai赖来莱
lan兰蓝澜岚 lang浪 le乐 lei雷磊蕾累 li李黎立利礼丽莉俐 lian联莲涟连 liang梁亮良 liao廖 lin林霖琳麟 ling令玲伶翎 liu刘柳流留
long龙珑 lu卢陆鲁禄璐露 lun伦纶论 luo罗骆落洛 lv吕绿旅履 ma马玛麻 man蔓曼 mao毛茂茅 mei梅美妹玫 meng孟梦萌蒙 miao淼苗妙
min民敏闽 ming明鸣铭茗 mo莫墨默沫 mu慕木沐牧 na娜那 nan南楠 neng能 ni倪妮霓泥 nian念 ning宁凝 niu牛 ou欧鸥 pan潘叛 pang庞旁
pei沛珮佩裴 peng彭鹏蓬篷 ping平萍苹娉 qi启祺琪琦 qian钱倩茜黔 qiang强蔷 qiao乔巧桥俏 qin秦覃琴芹沁 qing庆清青晴情 qiong琼
qiu邱秋丘 quan泉荃 qun群裙 rao娆 ren任仁 rong容荣蓉榕 ru儒茹如 rui瑞锐蕊芮 run润闰 ruo若偌 sen森 sha莎 shan山珊姗杉
shang上尚商 shao邵少绍勺 shen沈申深莘 sheng生胜盛升圣晟声 shi石史施世诗 shou寿守收 shu书淑姝叔 shuai帅 shuang双 shun顺舜
si司思丝 song宋松颂 su苏素 sun孙笋 tan谭檀 tang唐汤糖堂 tao陶涛桃 tian田天恬甜 tie铁 ting婷亭庭 tong通彤桐同 tu徒涂图
wan万菀婉琬宛 wang王汪旺望 wei魏韦伟威炜卫玮薇巍 wen温文雯纹 wu吴武伍舞 xi喜夕溪西熙曦惜希 xia夏霞侠 xian贤娴仙弦
xiang向祥湘香 xiao肖小晓孝潇 xie谢解 xin新鑫信昕心欣馨忻 xing邢兴杏星 xiong熊雄 xiu秀绣 xu徐许旭续 xuan轩萱璇 xue薛学雪
ya雅娅亚 yan闫严彦炎焱艳燕嫣妍嬿琰颜雁 yang杨阳洋 yao姚尧耀瑶 ye叶晔烨业 yi易义毅怡艺薏漪依伊仪意忆宜 yin尹殷茵音吟
ying英颖莹樱映滢瑛 yong勇永咏 you友佑悠右 yu余于俞尉宇玉雨昱豫煜瑜愉 yuan袁源远渊元苑媛 yue悦月玥岳 yun云芸韵筠 ze泽则 zeng曾
zhai翟 zhan湛 zhang张章彰漳 zhao赵召昭招 zhe哲喆 zhen振震贞祯珍 zheng郑正筝征 zhi志智芝枝 zhong钟中忠仲 zhou周舟洲 zhu朱诸珠祝
zi子梓姿紫 zong宗综 zou邹 zu祖 zuo左佐"""
# A province with its code; a city with its code and dialling code, then its districts with theirs.
PROVINCES = """
北京市11 天津市12 河北省13 辽宁省21 上海市31 江苏省32 浙江省33 安徽省34 福建省35 山东省37 河南省41 湖北省42
湖南省43 广东省44 重庆市50 四川省51 陕西省61 新疆维吾尔自治区65"""
CITIES = """
北京市1101,010东城区01西城区02朝阳区05丰台区06石景山区07海淀区08门头沟区09房山区11通州区12顺义区13天津市1201,022和平区01河东区02
河西区03南开区04河北区05红桥区06东丽区10西青区11津南区12北辰区13石家庄市1301,0311长安区02桥西区04新华区05井陉矿区07辛集市81
晋州市83新乐市84唐山市1302,0315路南区02路北区03古冶区04开平区05遵化市81迁安市83滦州市84秦皇岛市1303,0335海港区02山海关区03
北戴河区04抚宁区06昌黎县22卢龙县24邯郸市1304,0310邯山区02丛台区03复兴区04峰峰矿区06魏县34曲周县35武安市81保定市1306,0312竞秀区02
莲池区06满城区07清苑区08定州市82安国市83高碑店市84沈阳市2101,024和平区02沈河区03大东区04皇姑区05康平县23法库县24新民市81
大连市2102,0411中山区02西岗区03沙河口区04甘井子区11长海县24瓦房店市81庄河市83鞍山市2103,0412铁东区02铁西区03立山区04千山区11
台安县21海城市81上海市3101,021黄浦区01徐汇区04长宁区05静安区06普陀区07虹口区09杨浦区10闵行区12宝山区13嘉定区14
南京市3201,025玄武区02秦淮区04建邺区05鼓楼区06六合区16溧水区17高淳区18无锡市3202,0510锡山区05惠山区06滨湖区11梁溪区13新吴区14
江阴市81宜兴市82徐州市3203,0516鼓楼区02云龙区03贾汪区05泉山区11睢宁县24新沂市81邳州市82常州市3204,0519天宁区02钟楼区04新北区11
武进区12金坛区13溧阳市81苏州市3205,0512虎丘区05吴中区06相城区07姑苏区08张家港市82昆山市83太仓市85南通市3206,0513通州区12崇川区13
海门区14如东县23启东市81如皋市82海安市85杭州市3301,0571上城区02拱墅区05西湖区06滨江区08桐庐县22淳安县27建德市82
宁波市3302,0574海曙区03江北区05北仑区06镇海区11宁海县26余姚市81慈溪市82温州市3303,0577鹿城区02龙湾区03瓯海区04洞头区05瑞安市81
乐清市82龙港市83嘉兴市3304,0573南湖区02秀洲区11嘉善县21海盐县24海宁市81平湖市82桐乡市83绍兴市3306,0575越城区02柯桥区03上虞区04
新昌县24诸暨市81嵊州市83合肥市3401,0551瑶海区02庐阳区03蜀山区04包河区11肥西县23庐江县24巢湖市81芜湖市3402,0553镜湖区02鸠江区07
弋江区09湾沚区10繁昌区12南陵县23无为市81安庆市3408,0556迎江区02大观区03宜秀区11怀宁县22岳西县28桐城市81潜山市82
宿州市3413,0564埇桥区02砀山县21萧县22灵璧县23泗县24福州市3501,0591鼓楼区02台江区03仓山区04马尾区05永泰县25平潭县28福清市81
厦门市3502,0592思明区03海沧区05湖里区06集美区11同安区12翔安区13泉州市3505,0595鲤城区02丰泽区03洛江区04泉港区05石狮市81晋江市82
南安市83济南市3701,0531历下区02市中区03槐荫区04天桥区05钢城区17平阴县24商河县26青岛市3702,0532市南区02市北区03黄岛区11崂山区12
胶州市81平度市83莱西市85烟台市3706,0535芝罘区02福山区11牟平区12莱山区13招远市85栖霞市86海阳市87潍坊市3707,0536潍城区02寒亭区03
坊子区04奎文区05安丘市84高密市85昌邑市86济宁市3708,0537任城区11兖州区12微山县26鱼台县27梁山县32曲阜市81邹城市83
郑州市4101,0371中原区02二七区03金水区05上街区06新密市83新郑市84登封市85洛阳市4103,0379老城区02西工区03涧西区05偃师区07宜阳县27
洛宁县28伊川县29南阳市4113,0377宛城区02卧龙区03南召县21方城县22新野县29桐柏县30邓州市81信阳市4115,0376浉河区02平桥区03罗山县21
光山县22潢川县26淮滨县27息县28武汉市4201,027江岸区02江汉区03硚口区04汉阳区05江夏区15黄陂区16新洲区17黄石市4202,0714黄石港区02
西塞山区03下陆区04铁山区05阳新县22大冶市81宜昌市4205,0717西陵区02伍家岗区03点军区04猇亭区05宜都市81当阳市82枝江市83
襄阳市4206,0710襄城区02樊城区06襄州区07南漳县24老河口市82枣阳市83宜城市84恩施土家族苗族自治州4228,0718恩施市01利川市02建始县22
巴东县23咸丰县26来凤县27鹤峰县28长沙市4301,0731芙蓉区02天心区03岳麓区04开福区05长沙县21浏阳市81宁乡市82衡阳市4304,0734珠晖区05
雁峰区06石鼓区07蒸湘区08祁东县26耒阳市81常宁市82岳阳市4306,0730岳阳楼区02云溪区03君山区11岳阳县21平江县26汨罗市81临湘市82
常德市4307,0736武陵区02鼎城区03安乡县21汉寿县22桃源县25石门县26津市市81广州市4401,020荔湾区03越秀区04海珠区05天河区06南沙区15
从化区17增城区18深圳市4403,0755罗湖区03福田区04南山区05宝安区06龙华区09坪山区10光明区11珠海市4404,0756香洲区02斗门区03金湾区04
佛山市4406,0757禅城区04南海区05顺德区06三水区07高明区08惠州市4413,0752惠城区02惠阳区03博罗县22惠东县23龙门县24
重庆市5001,023万州区01涪陵区02渝中区03大渡口区04江北区05沙坪坝区06九龙坡区07南岸区08北碚区09綦江区10成都市5101,028锦江区04
青羊区05金牛区06武侯区07邛崃市83崇州市84简阳市85绵阳市5107,0816涪城区03游仙区04安州区05三台县22梓潼县25平武县27江油市81
乐山市5111,0833市中区02沙湾区11五通桥区12金口河区13夹江县26沐川县29峨眉山市81南充市5113,0817顺庆区02高坪区03嘉陵区04南部县21
仪陇县24西充县25阆中市81西安市6101,029新城区02碑林区03莲湖区04灞桥区11鄠邑区18蓝田县22周至县24宝鸡市6103,0917渭滨区02金台区03
陈仓区04凤翔区05麟游县29凤县30太白县31咸阳市6104,0910秦都区02杨陵区03渭城区04三原县22武功县31兴平市81彬州市82
乌鲁木齐市6501,0991天山区02新市区04水磨沟区05头屯河区06达坂城区07米东区09克孜勒苏柯尔克孜自治州6530,0996阿图什市01阿克陶县22
阿合奇县23乌恰县24喀什地区6531,0998喀什市01疏附县21疏勒县22英吉沙县23岳普湖县28伽师县29巴楚县30伊犁哈萨克自治州6540,0999伊宁市02
奎屯市03伊宁县21霍城县23昭苏县26特克斯县27尼勒克县28"""
ROADS = """
解放 人民 中山 建设 新华 和平 胜利 文化 友谊 青年 滨河 育才 团结 光明 迎宾 振兴 东风 朝阳 长江 黄河 北京 南京 工农 学府 花园 幸福 前进 红旗"""
ROAD_KINDS = "路 路 路 大道 街 街 东路 西路 南路 北路 巷"
TOWNS = "柳河 石桥 双龙 青山 白马 三合 大兴 太平 永安 新街 沙河 清泉 黄土 龙潭 高坪 金山 松林 杨集 城关 马家"
VILLAGE_KINDS = "村 庄村 湾村 屯村 寨村 坪村"
# Ways to write building {0}, unit {1} and room {2}, the third in Chinese numerals; in villages house {0} of group {1}.
HOUSES = ("{s}{e}{0}号楼{1}单元{2}室", "{s}{e}{0}-{1}-{2}", "{s}{e}{0}号楼{1}单元{2}室", "{e}{0}栋{1}单元{2}室", "{s}")
COTTAGES = ("{s}{e}{1}组{0}号", "{s}{e}{1}-{0}", "{s}{e}{1}组{0}号", "{e}{1}组{0}号", "{s}{e}")
NUMERALS = "零 一 二 三 四 五 六 七 八 九 十 十一 十二 十三 十四 十五 十六 十七 十八 十九 二十 二十一 二十二 二十三 二十四 二十五"
FORMATS = "+86{0}{1}{2} +86{0}{1}{2} +86-{0}{1}{2} 86-{0}{1}{2} 0086{0}{1}{2} {0}-{1}-{2} {0}_{1}_{2} +86_{0}{1}{2} _{0}{1}{2} {w}"
TITLES = {True: "先生 先生 先生 先生 师傅 老师 同志", False: "女士 女士 女士 女士 小姐 大姐 老师"}
FILLERS = "匿名 匿名 匿名 不愿透露 不愿透露 不愿透露姓名 消费者 消费者 市民 热心市民 无 未知 先生 女士 保密 测试"
PLACEHOLDERS = "13800138000 13800138000 11111111111 00000000000 13888888888 12345678901 13000000000 12315 12345 无 1"
DOMAINS = "163.com 163.com 126.com sina.com outlook.com foxmail.com gmail.com"
DIGITS, LETTERS = "0123456789", "abcdefghijklmnopqrstuvwxyz"
# fmt: on
OTHER = {digit: DIGITS.replace(digit, "") for digit in DIGITS}
PINYIN = {sign: sound for sound, signs in re.findall(r"([a-z]+)([^a-z\s]+)", SOUNDS) for sign in signs}


def _ears() -> dict[str, str]:
    """What each character is misheard as: mostly its own sound, else one with zh and z, n and ng, l and n confused."""
    alike, similar = defaultdict[str, str](str), defaultdict[str, str](str)
    blurred = {sign: re.sub("^l", "n", re.sub("(?<=[zcs])h|(?<=n)g", "", sound)) for sign, sound in PINYIN.items()}
    for sign, sound in PINYIN.items():
        alike[sound] += sign
        similar[blurred[sign]] += sign
    return {sign: (alike[sound] * 3 + similar[blurred[sign]]).replace(sign, "") for sign, sound in PINYIN.items()}


class Place(NamedTuple):
    """A district; `areas` are the ways to lead up to it in an address, the whole one first."""

    province: str
    city: str
    district: str
    code: str
    dialling: str
    areas: tuple[str, ...]


def _places() -> tuple[list[Place], Floats]:
    """Every district with its share of people: first cities and first districts have more."""
    provinces = {name[-2:]: name[:-2] for name in PROVINCES.split()}
    places, weights, cities = list[Place](), list[float](), Counter[str]()
    cut = re.compile(r"(\D+)(\d\d)(\d\d),(\d+)((?:\D+\d\d(?!\d))+)")
    for city, above, code, dialling, districts in cut.findall("".join(CITIES.split())):
        province = provinces[above]
        cities[province] += 1
        for rank, (district, number) in enumerate(re.findall(r"(\D+)(\d\d)", districts), 1):
            whole = province * (province != city) + city + district
            areas = (whole, city + district, district, "", re.sub("维吾尔自治区|省|市|区$", "", whole))
            places.append(Place(province, city, district, above + code + number, dialling, areas))
            weights.append((rank * cities[province]) ** -0.5)
    return places, np.array(weights) / sum(weights)


EAR = _ears()
PLACES, CROWDS = _places()


def people(count: int, seed: int, noise: Noise = DEFAULT) -> dict[str, list[Any]]:
    """Complainants' records by filed_at, as columns; equal arguments give equal columns."""
    if count < 1:
        raise ValueError("need at least one record")
    rng, dice = np.random.default_rng(seed), Random(seed)
    crowd = _Crowd(rng, dice, count)
    sheet = _Sheet(rng, dice, crowd)
    living, areas = _addresses(sheet, noise)
    numbers, phones = _phones(sheet, noise, living)
    device, devices = sheet.tenure(0.25, crowd.shared(rng, 0.15)[sheet.contact])
    openids = ["o" + token for token in _tokens(rng, crowd.size, 27, LETTERS + LETTERS.upper() + DIGITS + "-_")]
    start = datetime.combine(DEFAULT_END.date() - timedelta(days=DAYS), time(), CHINA)
    return {
        "record_id": list(range(count)),
        "filed_at": [start + timedelta(seconds=second) for second in sheet.moment.tolist()],
        "channel": [list(CHANNELS)[number] for number in sheet.channel.tolist()],
        "name": _names(sheet, noise),
        "id_no": _ids(sheet, noise, living),
        "phone": phones,
        "openid": sheet.fill("openid", openids, sheet.contact, noise.openid_missing),
        **_handles(sheet, noise, numbers),
        "device": sheet.fill("device", _tokens(rng, len(devices), 16, DIGITS + "abcdef"), device, noise.device_missing),
        **areas,
        "person_id": sheet.person.tolist(),
        "household_id": crowd.household[sheet.person].tolist(),
        "is_professional": crowd.professional[sheet.person].tolist(),
        "via_agent": sheet.via.tolist(),
    }


def write(columns: Mapping[str, Sequence[Any]], path: Path) -> None:
    """The columns as a CSV or Parquet file, by the suffix of the path; times are instants."""
    import duckdb

    # Else a column's type is guessed from its values, and its None spelt out.
    plain = {"record_id", "person_id", "household_id", "is_professional", "via_agent"}
    table = {name: np.array(values, dtype=None if name in plain else object) for name, values in columns.items()}
    table["filed_at"] = np.array([moment.replace(tzinfo=None) for moment in columns["filed_at"]], dtype="datetime64[us]")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Shanghai'")
        connection.register("records", table)
        records = connection.sql("SELECT * REPLACE (filed_at AT TIME ZONE 'Asia/Shanghai' AS filed_at) FROM records")
        kinds: dict[str, Callable[[str], None]] = {".csv": records.write_csv, ".parquet": records.write_parquet}
        kinds[path.suffix](str(path))


class _Crowd:
    """People in households, heads first, as parallel columns."""

    def __init__(self, rng: Generator, dice: Random, count: int) -> None:
        least, most = PILES
        piles = _until(least * (most / least) ** rng.random(count // least + 1), round(PROFESSIONALS * count))
        piles = piles[piles >= least]
        ranks = np.arange(1, least)
        few = _until(rng.choice(ranks, count, p=_parts(ranks**-2.6)), count - int(piles.sum()))
        self.size = size = len(piles) + len(few)
        order = rng.permutation(size)
        self.letters, self.professional = np.append(piles, few)[order], order < len(piles)
        self.household = np.repeat(np.arange(size), rng.choice((1, 2, 3, 4), size, p=(0.83, 0.12, 0.038, 0.012)))[:size]
        self.head = head = np.searchsorted(self.household, self.household)
        position = np.arange(size) - head
        spouse = (position == 1) & (rng.random(size) < 0.6)
        kin = (position > 0) & ~spouse
        self.male = rng.random(size) < 0.5
        self.male[spouse] = ~self.male[head[spouse]]
        # Days since BORN. Kin are a generation apart: parents of the young, children of the old.
        born = rng.triangular(0, 16_800, ADULT, size)
        born[spouse] = born[head[spouse]] + rng.normal(0, 1100, size)[spouse]
        born[kin] = (born[head] + np.where(born[head] > 13_000, -1, 1) * rng.uniform(8000, 12_000, size))[kin]
        self.born = born.clip(0, ADULT).astype(np.int64)
        # As in real counts: the five commonest surnames hold a third, the compound ones together 1.5 %.
        surnames, ranks = np.array([*SURNAMES, *COMPOUND.split()]), np.arange(1, len(SURNAMES) + 1)
        shares = np.interp(np.log(ranks), np.log((1, 3, 5, 6, 10, 20, 50, 126)), (7.2, 6.7, 4.5, 3.1, 1.9, 0.95, 0.42, 0.15))
        rare = 1 / np.arange(1, len(COMPOUND.split()) + 1)
        self.family = rng.choice(len(surnames), size, p=np.append(0.985 * _parts(shares), 0.015 * _parts(rare)))
        self.family[kin] = self.family[head[kin]]
        self.called = surnames[self.family].tolist()
        self.names = [surname + given for surname, given in zip(self.called, _given(rng, self.male), strict=True)]
        for who in np.flatnonzero((rng.random(size) < 0.01)[head]).tolist():
            self.called[who] = dice.choice(OWN[bool(self.male[who])].split())
            self.names[who] = f"{self.called[who]}·{dice.choice(FATHERS.split())}"

    def shared(self, rng: Generator, share: float) -> Ints:
        """Whose thing each person uses: one's own, or for a share of those who live with others the head's."""
        return np.where(rng.random(self.size) < share, self.head, np.arange(self.size))


class _Sheet:
    """The records: who files each, through whom, how and when; and what is kept and spoilt of a column."""

    def __init__(self, rng: Generator, dice: Random, crowd: _Crowd) -> None:
        self.rng, self.dice, self.crowd = rng, dice, crowd
        person = np.repeat(np.arange(crowd.size), crowd.letters)
        count = len(person)
        # One's letters follow each other; at the end of the span time starts over, so that all days are alike.
        day = (DAYS * ((rng.random(crowd.size)[person] + rng.exponential(0.2, count)) % 1)).astype(np.int64)
        shares = _parts([share for share, _, _ in CHANNELS.values()])
        habit = rng.choice(len(CHANNELS), crowd.size, p=shares)[person]
        channel = np.where(rng.random(count) < 0.5, habit, rng.choice(len(CHANNELS), count, p=shares))
        passed = np.array([np.cumsum(_parts(hours)) for _, hours, _ in CHANNELS.values()])
        hour = (rng.random(count)[:, None] > passed[channel]).sum(axis=1)
        moment = (24 * day + hour) * 3600 + rng.integers(3600, size=count)
        order = np.argsort(moment, kind="stable")
        self.person, self.channel, self.moment = person[order], channel[order], moment[order]
        self.first, self.last = _spans(crowd.size, self.person, self.moment)
        agents = rng.permutation(crowd.size)[: count // 1000 + 2]
        agent = agents[rng.choice(len(agents), crowd.size, p=_parts(np.arange(1, len(agents) + 1) ** -0.6))][self.person]
        self.via = (rng.random(count) < AGENTED) & (agent != self.person)
        self.contact = np.where(self.via, agent, self.person)

    def tenure(self, share: float | Floats, holder: Ints) -> tuple[Ints, Ints]:
        """(per record the item in its holder's hands, per item its owner): some who file again change theirs."""
        size = self.crowd.size
        movers = np.flatnonzero((self.rng.random(size) < share) & (self.last > self.first))
        later = np.arange(size)
        later[movers] = size + np.arange(len(movers))
        since = self.first + (self.last - self.first) * self.rng.random(size)
        return np.where(self.moment > since[holder], later[holder], holder), np.append(np.arange(size), movers)

    def fill(self, field: str, values: Sequence[str], at: Ints, missing: float, luck: Floats | None = None) -> Column:
        """values[at] where the channel asks for the field and the sender tells; equal luck, equal silence."""
        shares = np.array([fills[FIELDS.index(field)] for _, _, fills in CHANNELS.values()]) / 100 * (1 - missing)
        kept = (self.rng.random(len(at)) if luck is None else luck) < shares[self.channel]
        return [values[index] if keep else None for index, keep in zip(at.tolist(), kept.tolist(), strict=True)]

    def replace(self, column: Column, share: float, source: Callable[[int], str], lean: Mapping[str, float] = EVEN) -> None:
        """A share of the column's values, and more or less in channels that lean, become what source has for the row."""
        rates = np.array([min(0.98, share * lean.get(name, 1.0)) for name in CHANNELS])
        for row in np.flatnonzero(self.rng.random(len(column)) < rates[self.channel]).tolist():
            if column[row] is not None:
                column[row] = source(row)

    def spoil(self, column: Column, share: float, change: Callable[[str], str], lean: Mapping[str, float] = EVEN) -> None:
        self.replace(column, share, lambda row: change(column[row] or ""), lean)


def _given(rng: Generator, male: NDArray[np.bool_]) -> list[str]:
    """Given names, a quarter of one character; those are the most alike."""
    given = np.empty(len(male), dtype="U2")
    for pool, those in ((MALE, male), (FEMALE, ~male)):
        signs, ranks, size = np.array(list(pool)), np.arange(1, len(pool) + 1), int(those.sum())
        one = rng.choice(signs, size, p=_parts(1 / ranks))
        two = rng.choice(signs, (2, size), p=_parts(1 / (ranks + 10)))
        given[those] = np.where(rng.random(size) < 0.25, one, np.char.add(two[0], two[1]))
    return [str(name) for name in given]


def _names(sheet: _Sheet, noise: Noise) -> Column:
    crowd, dice, person = sheet.crowd, sheet.dice, sheet.person

    def titled(row: int) -> str:
        return str(crowd.called[person[row]]) + dice.choice(TITLES[bool(crowd.male[person[row]])].split())

    def masked(name: str) -> str:
        first, hidden = name[0], "*" * (len(name) - 1)
        return dice.choice((first + hidden, f"{first}*{name[2:]}", f"*{name[1:]}", first + "某", first + "某某"[: len(hidden)]))

    def spaced(name: str) -> str:
        spot = dice.randrange(len(name) + 1)
        return name[:spot] + dice.choice(("  ", " ", " ", "　")) + name[spot:]

    names = sheet.fill("name", crowd.names, person, noise.name_missing)
    sheet.spoil(names, noise.name_homophone, lambda name: _put(dice, name, EAR), HEARD)
    sheet.spoil(names, noise.name_wrong, lambda name: _put(dice, name, dict.fromkeys(name, MALE + FEMALE)), TYPED)
    sheet.spoil(names, noise.name_dropped, lambda name: _put(dice, name, dict.fromkeys(name * (len(name) > 2), "_")), TYPED)
    sheet.spoil(names, noise.name_traditional, lambda name: name.translate(FORMER), TYPED)
    sheet.spoil(names, noise.name_dot, lambda name: name.replace("·", dice.choice(("•", "．", ".", "・", " ", ""))))
    sheet.spoil(names, noise.name_masked, masked, EXPORTED)
    sheet.replace(names, noise.name_titled, titled, HEARD)
    sheet.spoil(names, noise.name_spaced, spaced, TYPED)
    sheet.spoil(names, noise.name_filler, lambda _: dice.choice(FILLERS.split()))
    return names


def _ids(sheet: _Sheet, noise: Noise, living: Ints) -> Column:
    """Numbers by GB 11643, no two alike, of the district one lives in or of another."""
    rng, dice, crowd = sheet.rng, sheet.dice, sheet.crowd
    place = np.where(rng.random(crowd.size) < 0.7, living, rng.choice(len(PLACES), crowd.size, p=CROWDS)).tolist()
    days = [f"{BORN + timedelta(days=day):%Y%m%d}" for day in range(ADULT + 1)]
    heads = [PLACES[number].code + days[day] for number, day in zip(place, crowd.born.tolist(), strict=True)]
    stems = dict[str, None]()
    for head, serial in zip(heads, (2 * rng.integers(500, size=crowd.size) + crowd.male).tolist(), strict=True):
        turns = (f"{head}{(serial + turn) % 1000:03d}" for turn in range(0, 1000, 2))
        stems[next(stem for stem in turns if stem not in stems)] = None
    digits = np.frombuffer("".join(stems).encode(), np.uint8).reshape(-1, 17) % 48
    checks = (digits @ np.array([2 ** (17 - spot) % 11 for spot in range(17)]) % 11).tolist()
    numbers = [stem + "10X98765432"[check] for stem, check in zip(stems, checks, strict=True)]
    papers = [f"{'EEGHM'[paper % 5]}{paper:08d}" for paper in _distinct(rng, 10**8, crowd.size)]
    ids = sheet.fill("id_no", numbers, sheet.person, noise.id_missing)
    sheet.spoil(ids, noise.id_digit, lambda number: _put(dice, number, OTHER))
    sheet.spoil(ids, noise.id_old, lambda number: number[:6] + number[8:17] if number[6:8] == "19" else number)
    sheet.spoil(ids, noise.id_lowercase, str.lower)
    sheet.spoil(ids, noise.id_masked, lambda number: f"{number[:6]}{'*' * (len(number) - 10)}{number[-4:]}", EXPORTED)
    sheet.replace(ids, noise.id_paper, lambda row: papers[sheet.person[row]])
    return ids


def _phones(sheet: _Sheet, noise: Noise, living: Ints) -> tuple[list[str], Column]:
    """(the first number of each person, the column)."""
    rng, dice, crowd, mobiles = sheet.rng, sheet.dice, sheet.crowd, MOBILE.split()
    item, owners = sheet.tenure(np.where(crowd.professional, 0.4, 0.08), crowd.shared(rng, 0.08)[sheet.contact])
    drawn = _distinct(rng, len(mobiles) * 10**8, len(owners))
    numbers = [f"{mobiles[number // 10**8]}{number % 10**8:08d}" for number in drawn]
    firsts = numbers[: crowd.size]
    # Long after its last use a number is handed out again, to a stranger of another name.
    first, last = _spans(len(owners), item, sheet.moment)
    old, new = rng.permutation(len(owners))[: len(owners) // 2 * 2].reshape(2, -1)
    family, household = crowd.family[owners], crowd.household[owners]
    apart = (family[old] != family[new]) & (household[old] != household[new])
    fit = np.flatnonzero(apart & (last[old] >= 0) & (last[old] + QUIET < first[new]) & (last[new] >= 0))
    for pair in fit[: round(0.005 * len(owners))]:
        numbers[new[pair]] = numbers[old[pair]]
    lines = _distinct(rng, 7 * 10**7, crowd.size)

    def landline(row: int) -> str:
        who = crowd.head[sheet.contact[row]]
        extension = f"{dice.choice('-转')}{lines[who] % 900 + 100}" if dice.random() < 0.25 else ""
        return f"{PLACES[living[who]].dialling}{dice.choice(('-', '-', ''))}{lines[who] + 2 * 10**7}{extension}"

    def swapped(phone: str) -> str:
        spot = dice.randrange(2, len(phone) - 1)
        return phone[:spot] + phone[spot + 1] + phone[spot] + phone[spot + 2 :]

    def formatted(phone: str) -> str:
        wide = "".join(chr(ord(sign) + 0xFEE0) for sign in phone)
        return dice.choice(FORMATS.split()).format(phone[:3], phone[3:7], phone[7:], w=wide).replace("_", " ")

    phones = sheet.fill("phone", numbers, item, noise.phone_missing)
    sheet.spoil(phones, noise.phone_digit, lambda phone: _put(dice, phone, OTHER))
    sheet.spoil(phones, noise.phone_swapped, swapped)
    sheet.spoil(phones, noise.phone_dropped, lambda phone: _put(dice, phone, dict.fromkeys(DIGITS, "_")))
    sheet.spoil(phones, noise.phone_letter, lambda phone: _put(dice, phone, {"0": "Oo", "1": "lI"}), TYPED)
    sheet.spoil(phones, noise.phone_masked, lambda phone: f"{phone[:3]}****{phone[7:]}", EXPORTED)
    sheet.replace(phones, noise.phone_landline, landline)
    sheet.replace(phones, noise.phone_double, lambda row: f"{phones[row]}{dice.choice('/、 ,')}{landline(row)}")
    sheet.spoil(phones, noise.phone_format, formatted)
    sheet.spoil(phones, noise.phone_placeholder, lambda _: dice.choice(PLACEHOLDERS.split()))
    return firsts, phones


def _handles(sheet: _Sheet, noise: Noise, numbers: Sequence[str]) -> dict[str, Column]:
    """Accounts named after one's phone number, a number, or one's name in pinyin."""
    rng, dice, crowd = sheet.rng, sheet.dice, sheet.crowd
    handles: dict[str, list[str]] = {"wechat": [], "email": []}
    facts = zip(numbers, crowd.names, crowd.born.tolist(), _tokens(rng, crowd.size, 14, LETTERS + DIGITS), strict=True)
    for (number, name, born, token), (one, two) in zip(facts, rng.random((crowd.size, 2)).tolist(), strict=True):
        spelt = [PINYIN[sign] for sign in name if sign in PINYIN] or ["user"]
        initials, tail = "".join(sound[0] for sound in spelt), int(one * 10**9) % 10**6
        handles["wechat"].append(number if one < 0.33 else f"wxid_{token}" if one < 0.7 else f"{initials}{tail}")
        alias = (initials if one < 0.5 else "".join(spelt)) + str(BORN.year + born // 366 if tail % 4 else tail)
        account = alias if two < 0.4 else number if two < 0.5 else int(two * 4 * 10**9)
        handles["email"].append(f"{account}@{dice.choice(DOMAINS.split()) if two < 0.5 else 'qq.com'}")
    columns = {}
    for field, values in handles.items():
        whose = np.where(rng.random(len(sheet.person)) < 0.3, sheet.contact, sheet.person)  # some agents give their own
        columns[field] = column = sheet.fill(field, values, whose, noise.handle_missing)
        sheet.spoil(column, noise.handle_case, lambda handle: dice.choice((handle.upper(), handle.capitalize())))
        sheet.spoil(column, noise.handle_filler, lambda _: dice.choice(("无", "无", "没有", "/")))
    return columns


def _addresses(sheet: _Sheet, noise: Noise) -> tuple[Ints, dict[str, Column]]:
    """(the place each person lives at first, the four columns)."""
    rng, dice, crowd, count = sheet.rng, sheet.dice, sheet.crowd, len(sheet.person)
    item, owners = sheet.tenure(0.05, crowd.head[sheet.person])
    homes = len(owners)
    place = rng.choice(len(PLACES), homes, p=CROWDS)
    place[crowd.size :] = np.where(rng.random(homes) < 0.7, place[owners], place)[crowd.size :]  # most stay in their district
    estates = [_estate(dice, district) for district in PLACES for _ in range(NEAR)]
    estate = (place * NEAR + NEAR * rng.random(homes) ** 1.5).astype(np.int64).tolist()
    rooms = 100 * rng.integers(1, 31, homes) + rng.integers(1, 5, homes)
    houses = np.stack((rng.integers(1, 26, homes), rng.integers(1, 5, homes), rooms), axis=1).tolist()
    where = [PLACES[number] for number in place.tolist()]
    luck, missing = rng.random(count), noise.area_missing
    columns = {
        "province": sheet.fill("area", [district.province for district in where], item, missing, luck),
        "city": sheet.fill("area", [district.city for district in where], item, missing, luck),
        "district": sheet.fill("district", [district.district for district in where], item, missing, luck),
        # First only where there is to be one: most of the work is in writing them.
        "address": sheet.fill("address", ["?"], np.zeros(count, np.int64), noise.address_missing),
    }
    for field in ("province", "city"):
        sheet.spoil(columns[field], noise.area_short, lambda name: re.sub("(维吾尔自治区|省|市|地区)$", "", name))
    cut = noise.address_area
    leads = rng.choice(5, count, p=(1 - cut, 0.4 * cut, 0.25 * cut, 0.2 * cut, 0.15 * cut)).tolist()
    forms, chinese = rng.choice(len(HOUSES), count, p=_parts(noise.address_form)).tolist(), NUMERALS.split()

    def address(row: int) -> str:
        home = item[row]
        street, name, styles = estates[estate[home]]
        numbers: Sequence[object] = houses[home]
        if forms[row] == 2:
            building, unit, room = houses[home]
            numbers = [chinese[building], chinese[unit], "".join(chinese[int(digit)] for digit in str(room))]
        return f"{where[home].areas[leads[row]]}{styles[forms[row]].format(*numbers, s=street, e=name)}"

    columns["address"] = [told and address(row) for row, told in enumerate(columns["address"])]
    sheet.spoil(columns["address"], noise.address_digit, lambda text: _put(dice, text, dict.fromkeys(DIGITS, "_")))
    return place[crowd.head], columns


def _estate(dice: Random, place: Place) -> tuple[str, str, tuple[str, ...]]:
    """A street with its number, the estate there and how its houses are written; in counties many are villages."""
    if place.district[-1] == "县" and dice.random() < 0.5:
        return dice.choice(TOWNS.split()) + "镇", dice.choice(SURNAMES) + "家" + dice.choice(VILLAGE_KINDS.split()), COTTAGES
    street = f"{dice.choice(ROADS.split())}{dice.choice(ROAD_KINDS.split())}{dice.randint(1, 399)}号"
    return street, dice.choice(ESTATES), HOUSES


def _parts(weights: ArrayLike) -> Floats:
    sizes = np.asarray(weights, dtype=np.float64)
    return sizes / float(sizes.sum())


def _until(sizes: NDArray[Any], total: int) -> Ints:
    """The first of the sizes that add up to the total, the last one cut to fit."""
    sums = np.cumsum(sizes.astype(np.int64)).clip(max=total)
    return np.diff(sums[: np.searchsorted(sums, total) + 1], prepend=0) if total else sums[:0]


def _spans(size: int, item: Ints, moment: Ints) -> tuple[Ints, Ints]:
    """Per item the first and last moment of its records; the last is -1 where it has none."""
    first, last = np.full(size, np.iinfo(np.int64).max), np.full(size, -1)
    np.minimum.at(first, item, moment)
    np.maximum.at(last, item, moment)
    return first, last


def _distinct(rng: Generator, space: int, size: int) -> list[int]:
    drawn: list[int] = rng.permutation(np.unique(rng.integers(space, size=size + size // 20 + 20)))[:size].tolist()
    return drawn


def _tokens(rng: Generator, count: int, length: int, alphabet: str) -> list[str]:
    signs = np.frombuffer(alphabet.encode(), np.uint8)[rng.integers(len(alphabet), size=(count, length))].tobytes().decode()
    return [signs[start : start + length] for start in range(0, len(signs), length)]


def _put(dice: Random, text: str, others: Mapping[str, str]) -> str:
    """The text with one sign replaced by one of its others (_ is none), if it has a sign with any."""
    spots = [spot for spot, sign in enumerate(text) if others.get(sign)]
    if not spots:
        return text
    spot = dice.choice(spots)
    return text[:spot] + dice.choice(others[text[spot]]).replace("_", "") + text[spot + 1 :]
