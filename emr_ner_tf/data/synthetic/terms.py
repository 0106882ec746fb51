"""Terms of the synthetic corpus: clinical words composed from parts, each for training or held out.

A term is a combination of parts (side + organ + lesion; approach + organ + procedure; stem + family +
dosage form), so that a form which training never shows is made of characters and endings which it does
show. Terms are in groups; a template's slot first draws a group, so that a list of 20 is met as often
as a product of 500. The forms are those of clinical Chinese, whatever the combination means: nobody
performs every operation listed here.
"""

import dataclasses
import itertools
import zlib


@dataclasses.dataclass(frozen=True, slots=True)
class TermGroup:
    """Terms of one kind.

    Attributes:
        common: terms for training and test records.
        held_out: terms for test records only; each of their characters occurs in `common`.
    """

    common: tuple[str, ...]
    held_out: tuple[str, ...] = ()


# Percentage of a group's terms that are held out from training.
_HELD_OUT_PERCENT = 45


def _group(*products: str) -> TermGroup:
    """Makes the terms of a group and divides them into common and held-out ones.

    A checksum of its characters, not a random generator, decides whether a term is held out. It is therefore a property
    of the term and does not depend on the seed of a corpus or on the other terms.

    Args:
        products: each names the parts of its terms in their order, with a space between the parts and a
            bar between the choices for one. An empty choice after the last bar means nothing: "左|右| 肺|肾"
            are six terms.
    """
    terms: dict[str, None] = {}
    for product in products:
        parts = [part.split("|") for part in product.split(" ")]
        terms |= dict.fromkeys("".join(chosen) for chosen in itertools.product(*parts))
    candidates = [term for term in terms if zlib.crc32(term.encode()) % 100 < _HELD_OUT_PERCENT]
    common = [term for term in terms if term not in set(candidates)]
    known = set("".join(common))
    held_out = []
    for term in candidates:
        # A character that never occurs in training cannot be learned, so a term with one is used for training instead.
        (held_out if set(term) <= known else common).append(term)
        known |= set(term)
    return TermGroup(tuple(common), tuple(held_out))


# Forms of two types. Only the sentence shows which type is meant. Each group is
# under both of its labels below, and none of its terms is held out: training shows every one under both
# labels.
DRUG_OR_LABORATORY = TermGroup(
    # Given to the patient, or measured.
    (
        "胰岛素",
        "甲状腺素",
        "白蛋白",
        "叶酸",
        "维生素B12",
        "维生素D",
        "纤维蛋白原",
        "免疫球蛋白",
        "生长激素",
        "促红细胞生成素",
        "降钙素",
        "睾酮",
    )
)
IMAGE_OR_OPERATION = TermGroup(
    # Read by a radiologist, or performed under anaesthesia.
    (
        "冠状动脉造影",
        "脑血管造影",
        "肾动脉造影",
        "肝动脉造影",
        "下肢动脉造影",
        "下肢静脉造影",
        "胆道造影",
        "支气管动脉造影",
    )
)
DISEASE_OR_LABORATORY = TermGroup(
    # An infection that the patient had, or that a serology excluded.
    ("乙肝", "丙肝", "戊肝", "梅毒", "艾滋病", "结核", "肺炎支原体感染", "EB病毒感染")
)

# 解剖部位. Regions are where it hurts, organs are what an examination describes.
REGIONS = (
    _group(
        "左|右|双| 上肢|下肢|大腿|小腿|前臂|上臂|足|手|足趾|手指",
        "左|右|双| 膝|肩|髋|踝|腕|肘 关节|部",
    ),
    _group("左侧|右侧|双侧| 颈部|腰部|胸部|面部|臀部|腹股沟|下腹部|上腹部|季肋部|颞部|肩背部"),
    _group("头|头面|腹|腰|背|胸背|腰背|骶尾|会阴|中上腹|下腹|枕后 部"),
    _group("胸骨|耳|咽|眼眶|剑突|脐 后|下|周围|旁"),
)
ORGANS = (
    _group("左|右|双 肺|肾|卵巢|乳腺|肾上腺|输尿管|颈动脉|肺门|腋窝|锁骨上"),
    _group("左|右 肺上叶|肺下叶|肾上极|肾下极|肾盂|乳外上象限|乳内下象限|肺尖"),
    _group(
        "肝|肝左叶|肝右叶|胰腺|脾脏|甲状腺|甲状腺左叶|甲状腺右叶|前列腺|纵隔|腹膜后",
        "胰|胃|胆囊 头|体|尾|底|窦|颈",
    ),
    _group(
        "胃|食管|食管上段|食管中段|食管下段|十二指肠|胆囊|胆总管|贲门|幽门|膀胱",
        "升|横|降|乙状 结肠",
        "直|空|回|盲 肠",
        "子宫|子宫颈|阑尾|宫腔|盆腔|腹腔",
    ),
    _group(
        "额|颞|顶|枕 叶|部",
        "小脑|脑干|基底节区|丘脑|鼻咽|鞍区",
    ),
    _group(
        "颈|胸|腰 椎|2椎体|3椎体|4椎体",
        "左|右 股骨|胫骨|腓骨|肱骨|桡骨|尺骨|锁骨|髌骨 上段|下段|",
    ),
)

# 疾病和诊断. Lesions are found by an examination or treated by an operation, chronic ones stand in histories.
LESIONS = (
    _group(
        "左|右 肺上叶|肺下叶|肺 癌|腺癌|鳞癌|恶性肿瘤|占位性病变|结节|脓肿",
        "左|右 乳腺|卵巢 癌|恶性肿瘤|囊肿|良性肿瘤|占位性病变|囊腺瘤",
    ),
    _group("肝|胰腺|甲状腺|前列腺|脾 癌|囊肿|恶性肿瘤|良性肿瘤|占位性病变|脓肿|血管瘤|转移瘤"),
    _group(
        "胃|食管|直肠|横结肠|升结肠|乙状结肠|胆囊|膀胱|子宫颈|十二指肠|贲门 癌|腺癌|恶性肿瘤|息肉|溃疡|穿孔"
    ),
    _group("左|右|双| 肾|输尿管|膀胱|胆囊|胆总管|肝内胆管 结石|积水|扩张伴感染"),
    _group(
        "左|右 股骨|胫骨|腓骨|肱骨|桡骨|尺骨|锁骨|髌骨 骨折|粉碎性骨折|陈旧性骨折|骨髓炎",
        "颈|胸|腰 椎骨折|椎管狭窄|椎间盘突出症|椎骨质增生|椎转移瘤",
    ),
    _group("急性|慢性|急性化脓性|亚急性 阑尾|胆囊|胰腺|扁桃体|盆腔|支气管|甲状腺|膀胱|胃|肾盂肾 炎"),
    _group(
        "肝|肺|脑|骨|肾上腺|腹膜|腹腔淋巴结|纵隔淋巴结 转移|转移癌|继发恶性肿瘤",
        "肝硬化|肠梗阻|腹股沟疝|子宫肌瘤|腹膜炎|胸腔积液|腹腔积液|肺栓塞|脑膜瘤|鼻咽癌",
    ),
)
CHRONIC = (
    _group(
        "高血压病|高血压 1级|2级|3级|",
        "1型|2型|继发性|妊娠期| 糖尿病",
        "糖尿病|高血压 肾病|视网膜病变|心脏病|周围神经病变",
    ),
    _group(
        "冠心病|心房颤动|室性早搏|慢性心力衰竭|肺源性心脏病|风湿性心脏病",
        "陈旧性|急性|多发性|腔隙性 脑梗死|心肌梗死|脑出血",
    ),
    _group(
        "甲状腺功能|肾功能|肝功能|心功能 亢进症|减退症|不全|衰竭",
        "慢性| 阻塞性肺疾病|萎缩性胃炎|浅表性胃炎|肾小球肾炎",
        "痛风|支气管哮喘|骨质疏松症|类风湿性关节炎|高脂血症|高尿酸血症|脂肪肝|反流性食管炎",
        "缺铁性|溶血性|再生障碍性|重度|轻度 贫血",
    ),
)

# 手术.
OPERATIONS = (
    _group(
        "腹腔镜下|开腹|机器人辅助下| 胆囊|胃|直肠|脾|子宫|乙状结肠|右半结肠|肝左叶 切除术|部分切除术",
        "腹腔镜下|开腹|机器人辅助下| 左半结肠|阑尾|胰体尾|回盲部 切除术|探查术",
    ),
    _group(
        "腹腔镜下| 胃癌|直肠癌|结肠癌|食管癌|胰腺癌|胆囊癌|子宫颈癌|膀胱癌 根治术|扩大根治术|姑息性切除术",
        "左|右 乳腺癌|肺癌|肾癌|甲状腺癌 根治术|改良根治术",
    ),
    _group(
        "胸腔镜下|开胸| 左|右 肺上叶|肺下叶|肺 切除术|楔形切除术|部分切除术|肿物切除术",
        "左|右|双| 卵巢|甲状腺|乳腺|肾 部分切除术|全切术|肿物切除术|囊肿切除术",
    ),
    _group(
        "左|右 股骨|胫骨|肱骨|桡骨|锁骨 骨折 切开复位内固定术|闭合复位外固定术",
        "左|右 股骨|胫骨|肱骨|桡骨|锁骨 内固定取出术|截骨矫形术",
        "左|右 膝|髋|肩 关节置换术|关节镜检术|关节清理术",
    ),
    _group(
        "经皮|经尿道|内镜下 肾|膀胱|输尿管|胆总管 碎石术|取石术|造瘘术",
        "经尿道 膀胱肿瘤|前列腺|膀胱颈 电切术|激光切除术",
        "结肠|回肠|空肠|胃|胆囊|膀胱 造瘘术|吻合术|修补术|穿刺引流术",
        "剖宫产术|剖腹探查术|腹股沟疝修补术|气管切开术|白内障摘除术|扁桃体切除术|心脏搭桥术",
    ),
    IMAGE_OR_OPERATION,
)

# 影像检查.
IMAGES = (
    _group("头颅|胸部|颈部|全腹|上腹部|下腹部|盆腔|鼻窦|双肺 CT|增强CT|CT平扫|薄层CT"),
    _group("头颅|颈椎|腰椎|胸椎|盆腔|上腹部|直肠|垂体|膝关节|肩关节 MRI|增强MRI|MRI平扫|磁共振"),
    _group(
        "腹部|泌尿系|肝胆胰脾|甲状腺|乳腺|心脏|颈动脉|双下肢动脉|双下肢静脉|妇科 彩超|B超|彩色多普勒超声|超声"
    ),
    _group("胸部|腹部|骨盆|颈椎|腰椎|膝关节|双手|全脊柱 X线片|正侧位片|平片|DR"),
    _group(
        "全身| PET-CT|骨显像|骨扫描",
        "电子|超声|无痛| 胃镜|肠镜|支气管镜|喉镜",
        "CT|B超|MRI|胸片|心脏超声|上消化道造影",
    ),
    IMAGE_OR_OPERATION,
)

# 实验室检验.
LABORATORY = (
    _group(
        "白细胞|红细胞|血小板|中性粒细胞|淋巴细胞|单核细胞|嗜酸性粒细胞|网织红细胞 计数|百分比|绝对值|",
        "血红蛋白|血沉|红细胞压积",
    ),
    _group(
        "血清|尿| 肌酐|淀粉酶|尿素氮|尿酸|脂肪酶|总蛋白|微量白蛋白|肌酸激酶|乳酸脱氢酶|铁蛋白",
        "血|血清 钾|钠|钙|氯|磷|镁|氨",
    ),
    _group(
        "谷丙|谷草|谷氨酰 转氨酶|转肽酶",
        "总|直接|间接 胆红素|胆固醇|胆汁酸",
        "碱性磷酸酶|甘油三酯|低密度脂蛋白|高密度脂蛋白|载脂蛋白A|载脂蛋白B",
        "空腹|餐后|随机| 血糖|C肽",
        "糖化血红蛋白|糖化白蛋白",
    ),
    _group(
        "糖类抗原|CA 125|199|153|724|242",
        "癌胚抗原|甲胎蛋白|鳞癌抗原|前列腺特异性抗原|CEA|AFP|PSA",
    ),
    _group(
        "D-二聚体|凝血酶原时间|凝血酶时间|C反应蛋白|超敏C反应蛋白|降钙素原|肌钙蛋白I|肌钙蛋白T",
        "脑钠肽|肌红蛋白|同型半胱氨酸|促甲状腺激素|游离T3|游离T4|皮质醇|甲状旁腺激素",
    ),
    DRUG_OR_LABORATORY,
)
SEROLOGY = (
    DISEASE_OR_LABORATORY,
    _group(
        "乙肝|丙肝|梅毒|结核|戊肝 抗体|核心抗体",
        "乙肝表面抗原|乙肝e抗原|梅毒螺旋体抗体|HIV抗体|结核杆菌抗体",
    ),
)

# 药物.
DRUGS = (
    _group(
        "头孢 曲松|哌酮|呋辛|他啶|唑林|西丁|噻肟|吡肟|替安 钠|注射液|",
        "头孢 克肟|地尼|克洛|拉定|丙烯 片|胶囊|",
        "左氧氟|环丙|莫西|诺氟|加替 沙星 片|注射液|",
        "阿莫|氨苄|哌拉|苯唑 西林 钠|胶囊|",
        "阿奇|克拉|红|罗红|庆大|万古 霉素 注射液|粉针|",
    ),
    _group(
        "阿托伐|瑞舒伐|辛伐|普伐|氟伐 他汀 片|胶囊|缓释片|分散片|",
        "缬|氯|厄贝|替米|坎地 沙坦 片|胶囊|缓释片|分散片|",
        "依那|贝那|福辛|卡托|培哚 普利 片|胶囊|缓释片|分散片|",
        "美托|比索|阿替|普萘|艾司 洛尔 片|胶囊|缓释片|分散片|",
        "氨氯|硝苯|非洛|尼莫|拉西 地平 片|胶囊|缓释片|分散片|",
    ),
    _group(
        "奥美|兰索|泮托|雷贝|艾司奥美 拉唑 肠溶片|肠溶胶囊|钠|",
        "二甲双胍|格列美脲|格列齐特|阿卡波糖|瑞格列奈|西格列汀|达格列净 片|缓释片|",
        "阿司匹林|氯吡格雷|华法林|利伐沙班|替格瑞洛 片|肠溶片|",
    ),
    _group(
        "顺|卡|奥沙利|奈达|洛 铂 注射液|粉针|",
        "吉非|厄洛|伊马|奥希|阿帕 替尼 片|胶囊|",
        "吉西|卡培|地西 他滨 片|注射液|",
        "紫杉醇|多西他赛|培美曲塞|伊立替康|表柔比星|环磷酰胺|替吉奥 注射液|胶囊|",
        "贝伐珠|曲妥珠|利妥昔|西妥昔|信迪利 单抗 注射液|粉针|",
    ),
    _group(
        "地塞米松|泼尼松|甲泼尼龙|氢化可的松|呋塞米|螺内酯|氨溴索|多索茶碱 片|注射液|",
        "恩替卡|阿昔洛|更昔洛|奥司他|替诺福 韦 片|胶囊|",
        "复方丹参|银杏叶|参麦|血塞通|脉络宁|醒脑静 注射液|滴丸|",
        "布洛芬|双氯芬酸|塞来昔布|曲马多|吗啡|对乙酰氨基酚 缓释片|胶囊|",
    ),
    DRUG_OR_LABORATORY,
)

# A slot of a template -> (label, groups that it draws from).
SLOTS: dict[str, tuple[str, tuple[TermGroup, ...]]] = {
    "region": ("解剖部位", REGIONS),
    "organ": ("解剖部位", ORGANS),
    "lesion": ("疾病和诊断", LESIONS),
    "chronic": ("疾病和诊断", CHRONIC),
    "infection": ("疾病和诊断", (DISEASE_OR_LABORATORY,)),
    "operation": ("手术", OPERATIONS),
    "image": ("影像检查", IMAGES),
    "lab": ("实验室检验", LABORATORY),
    "serology": ("实验室检验", SEROLOGY),
    "drug": ("药物", DRUGS),
}
