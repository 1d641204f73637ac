"""TRIPOD+AI: what a report of a prediction model is to say, 27 items in 52 parts, in words of our own.

Source:
    Collins et al., TRIPOD+AI statement, BMJ 385 (2024) e078378, doi:10.1136/bmj-2023-078378.
"""

from cxr_runner.inference.card.checklist_item import Checklist
from cxr_runner.inference.card.checklist_item import ChecklistItem as Item

TRIPOD_AI = Checklist(
    "TRIPOD+AI",
    "Collins et al., BMJ 385 (2024) e078378, doi:10.1136/bmj-2023-078378",
    (
        Item("1", "title: development or evaluation, population, outcome", ("outcome", "study"), "target population"),
        Item("2", "abstract", (), "an abstract, by the list of TRIPOD+AI for abstracts"),
        Item("3a", "healthcare context and rationale", (), "diagnostic context, rationale, references to other models"),
        Item("3b", "population, purpose and users", (), "target population, place in the care pathway, intended users"),
        Item("3c", "known health inequalities", (), "known inequalities between sociodemographic groups"),
        Item("4", "objectives", ("study",), "objectives of the study"),
        Item("5a", "sources of data", ("source",), "kind of source, why these data, whether they are representative"),
        Item("5b", "dates", (), "begin and end of accrual"),
        Item("6a", "setting and centres", (), "setting of care, number and location of the centres"),
        Item("6b", "eligibility", ("excluded",), "who was eligible, before there were images"),
        Item("6c", "treatments", (), "treatments before the image was taken, if they matter"),
        Item(
            "7", "preparation and quality of data", ("preprocessing", "excluded"), "whether it was alike in all groups"
        ),
        Item(
            "8a", "outcome", ("outcome",), "how and when it was assessed, why this outcome, alike in all groups or not"
        ),
        Item("8b", "who assessed the outcome", (), "qualifications and demographics of those who assessed the outcome"),
        Item("8c", "blinding of the outcome", (), "what those who assessed the outcome did not know"),
        Item("9a", "choice of predictors", ("predictors",), ""),
        Item(
            "9b", "definition of predictors", ("predictors", "preprocessing"), "devices, views, when images were taken"
        ),
        Item("9c", "who assessed predictors", ("predictors",), ""),
        Item("10", "sample size", ("counts",), "how the size was arrived at, and whether it suffices"),
        Item("11", "missing data", ("excluded",), "patients without an image or a label, and why"),
        Item("12a", "how data were used", ("splits", "counts"), ""),
        Item("12b", "how predictors entered", ("preprocessing",), ""),
        Item("12c", "model, building, validation", ("architecture", "training", "selection"), "why this kind of model"),
        Item("12d", "heterogeneity across clusters", (), "whether metrics differ between hospitals or devices"),
        Item("12e", "measures of performance", ("measures",), "why these; others, such as clinical utility"),
        Item("12f", "updating", ("calibration",), ""),
        Item("12g", "how predictions were calculated", ("output", "use"), ""),
        Item("13", "class imbalance", ("imbalance", "calibration"), ""),
        Item("14", "fairness", (), "what was done about fairness, and why"),
        Item("15", "output and threshold", ("output",), "why this threshold fits the purpose"),
        Item(
            "16", "training against evaluation data", ("splits", "external"), "differences in setting and eligibility"
        ),
        Item("17", "ethical approval", (), "committee, consent or its waiver"),
        Item("18a", "funding", (), "sources of funding and their role"),
        Item("18b", "conflicts of interest", (), "conflicts of interest of all authors"),
        Item("18c", "protocol", (), "where it is, or that there was none"),
        Item("18d", "registration", (), "register and number, or that there was none"),
        Item("18e", "availability of data", ("source",), "where and on what terms others get the data"),
        Item("18f", "availability of code", ("code",), "code beyond this program"),
        Item("19", "patient and public involvement", (), "how patients and the public took part, or that they did not"),
        Item("20a", "flow of participants", ("counts", "excluded"), "who was left out before there were images"),
        Item("20b", "characteristics", ("inventory", "subgroups"), "age, sex, severity, treatments, by source"),
        Item("20c", "development against evaluation", ("counts", "external"), "distribution of predictors in both"),
        Item("21", "participants and outcomes in each analysis", ("counts",), ""),
        Item("22", "the whole model", ("architecture", "use"), "restrictions of access and reuse, licence"),
        Item(
            "23a", "performance with intervals", ("performance", "subgroups"), "sociodemographic groups not listed here"
        ),
        Item("23b", "heterogeneity of performance", ("external",), "results by hospital or device"),
        Item("24", "results of updating", ("calibration",), ""),
        Item("25", "interpretation", (), "what the results mean, fairness included"),
        Item("26", "limitations", ("limits",), "limits that no program sees"),
        Item("27a", "poor or missing input", ("input_checks",), "what users are to do then"),
        Item("27b", "interaction and expertise", (), "what users do, and what they have to know"),
        Item("27c", "next steps", (), "what is to be found out next, and where the model may apply"),
    ),
)
