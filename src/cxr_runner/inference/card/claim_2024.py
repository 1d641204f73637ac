"""CLAIM 2024: what a report of artificial intelligence in medical imaging is to say, 44 items, in words of our own.

Source:
    Tejani et al., Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 Update, Radiology: Artificial
    Intelligence 6 (2024) e240300, doi:10.1148/ryai.240300.
"""

from cxr_runner.inference.card.checklist_item import Checklist
from cxr_runner.inference.card.checklist_item import ChecklistItem as Item

CLAIM_2024 = Checklist(
    "CLAIM 2024",
    "Tejani et al., Radiology: Artificial Intelligence 6 (2024) e240300, doi:10.1148/ryai.240300",
    (
        Item("1", "title: the kind of technology", ("architecture",), ""),
        Item("2", "abstract", (), "a summary of design, methods, results and conclusions"),
        Item("3", "background and intended use", (), "scientific and clinical background, intended use and role"),
        Item("4", "aims and hypotheses", (), "aims, objectives, hypotheses"),
        Item("5", "prospective or retrospective", (), "whether data were collected for this study or before it"),
        Item("6", "goal of the study", ("study",), "what the model is for"),
        Item("7", "data sources", ("source",), "hospitals, devices, dates"),
        Item("8", "inclusion and exclusion", ("excluded",), "criteria by which patients and images were chosen"),
        Item("9", "preprocessing", ("preprocessing",), ""),
        Item("10", "selection of subsets", ("excluded", "predictors"), ""),
        Item("11", "de-identification", (), "how images and tables were freed of identities"),
        Item("12", "missing data", ("excluded",), "what was missing before there were images"),
        Item("13", "acquisition protocol", ("inventory",), "devices, views, exposure"),
        Item("14", "how the reference standard was obtained", ("outcome",), "by what method each label was obtained"),
        Item("15", "why this reference standard", (), "why this one, and its limits"),
        Item("16", "source of the annotations", (), "who labelled, with what training and tools"),
        Item("17", "annotation of the test set", (), "whether test images were labelled in another way"),
        Item("18", "variability of readers", (), "agreement between and within readers"),
        Item("19", "how data were partitioned", ("splits", "counts"), ""),
        Item("20", "level of the partitions", ("level",), "whether hospitals are apart"),
        Item("21", "intended size of the test set", ("counts",), "how it was determined"),
        Item("22", "description of the model", ("architecture", "output"), ""),
        Item("23", "software", ("code",), ""),
        Item("24", "initialization", ("initialization",), ""),
        Item("25", "training", ("training", "imbalance"), ""),
        Item("26", "selection of the final model", ("selection",), "whether other models were tried, and how many"),
        Item("27", "ensembling", ("ensemble",), ""),
        Item("28", "metrics", ("measures",), "why these"),
        Item("29", "significance and uncertainty", ("uncertainty",), ""),
        Item("30", "robustness", ("external",), "other analyses of robustness"),
        Item("31", "explainability", ("explained",), "whether explanations were checked by readers"),
        Item("32", "internal data", ("performance",), ""),
        Item("33", "external data", ("external",), ""),
        Item("34", "registration of a trial", (), "register and number, if it is a trial"),
        Item(
            "35", "numbers included and excluded", ("counts", "excluded"), "patients left out before there were images"
        ),
        Item(
            "36",
            "characteristics of each partition",
            ("inventory", "subgroups"),
            "age, sex, severity in each partition",
        ),
        Item("37", "metrics with uncertainty", ("performance",), ""),
        Item("38", "diagnostic performance", ("performance",), ""),
        Item("39", "failure analysis", ("failures",), "what readers see in these images"),
        Item("40", "limitations", ("limits",), "limits that no program sees"),
        Item("41", "implications for practice", (), "what follows for practice, intended use and role"),
        Item("42", "full protocol", (), "where it is"),
        Item("43", "availability", ("code", "use", "source"), "where weights and data are, and on what terms"),
        Item("44", "funding", (), "sources of funding and their role"),
    ),
)
