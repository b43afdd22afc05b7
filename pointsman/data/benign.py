"""Harmless prose to hide a text in: small pieces written for this project, of no one's data.

Every sentence has ten words, so that a perturbation can say how many words it adds.
"""

from __future__ import annotations

from dataclasses import dataclass

WORDS = 10  # of every sentence

SMALL_TALK = (
    "The harbour was quiet and the boats moved a little.",
    "A baker on the corner opened early and swept outside.",
    "Two gulls walked along the wall and watched the water.",
    "The rain had stopped before noon and the paths dried.",
    "Children flew a red kite on the hill behind town.",
    "The old ferry came back late with only six people.",
    "Someone had painted the bench green and left a note.",
    "In the afternoon the market smelled of bread and oranges.",
    "A brown dog slept beside the door of the bookshop.",
    "The lighthouse keeper hung his coat over the warm stove.",
    "Small waves rolled in slowly and left lines of foam.",
    "After supper the streets were empty and the lamps burned.",
    "The garden behind the school was full of tall beans.",
    "A slow train crossed the bridge and whistled only once.",
    "Nobody hurried that day because the clock had stopped again.",
    "The choir practised one song until the windows grew dark.",
)

REPORT = (
    "This report covers the work of the reading room committee.",
    "The room was open on most days of the year.",
    "Visitors came mainly in the morning and on wet weekends.",
    "Two shelves were repaired and a third one was replaced.",
    "The heating failed once in winter and was mended quickly.",
    "Lending grew slightly compared with the year before this one.",
    "Novels were borrowed most often and travel books came second.",
    "The committee met four times and kept notes each time.",
    "A quiet corner for pupils was set up near windows.",
    "Its chairs were given by a school that had closed.",
    "The catalogue was checked and several missing volumes were found.",
    "Old newspapers were moved to the dry cellar in spring.",
    "A short course on mending books was held in summer.",
    "Twelve people took part and asked for another one soon.",
    "The roof above the entrance still needs some new tiles.",
    "Three offers were collected and the cheapest one was chosen.",
    "Light bulbs were exchanged for ones that use less power.",
    "The garden path was widened so that prams can pass.",
    "Reading evenings were moved from Tuesday to the following day.",
    "Attendance at them rose a little after that small change.",
    "Returned books are now sorted before noon on every weekday.",
    "The old till was sold and a smaller one bought.",
    "Next year the committee wants to paint the main hall.",
    "It thanks everyone who helped with boxes, brooms and patience.",
)

# What augmentation puts around training rows: other sentences, of other kinds, so that what reports
# measure with stays unseen.
TRAINED_SMALL_TALK = (
    "Sorry for the late reply, my week was rather full.",
    "My sister finally sold her van and bought a bicycle.",
    "We watched that film about penguins again, still very good.",
    "it rained all day so the match was called off",
    "Thanks again for lending us your ladder over the weekend.",
    "I keep forgetting where the spare batteries are kept here.",
    "Grandad says the tomatoes are late but the beans fine.",
    "anyway hope you are well and the cat is too",
    "The neighbours are building a shed and sing while hammering.",
    "We moved the sofa twice and put it back after.",
    "On Sunday there was cake, and nobody wanted to leave.",
    "My phone fell into the sink but seems to work.",
    "The new colleague brought biscuits, which made her popular quickly.",
    "I tried to learn the trumpet once, briefly and loudly.",
    "Traffic was terrible this morning because of the broken lights.",
    "did you see the moon last night, it was huge",
    "Our hotel had no hot water but a lovely view.",
    "The twins start school in autumn and are terribly proud.",
    "I read half of the book and lost it somewhere.",
    "Somebody left an umbrella at our place, is it yours?",
    "The gym was empty today, so I stayed longer there.",
    "We had soup three times this week, each quite different.",
    "My desk plant has a new leaf, a small triumph.",
    "lol the meeting was moved again, third time this month",
    "The bakery changed its opening hours and told nobody else.",
    "After the concert we walked home along the dark canal.",
    "He collects old maps and knows every station by heart.",
    "Please say hello to your parents from all of us.",
    "The printer jammed twice before lunch and then gave up.",
    "I might paint the kitchen yellow, or perhaps only green.",
)

TRAINED_REPORT = (
    "Welcome to the autumn newsletter of the allotment society members.",
    "The water will be turned off during the first frost.",
    "Please empty your barrels and leave the taps standing open.",
    "Chapter two explains how the pump is taken to pieces.",
    "Loosen the four screws and lift the cover off carefully.",
    "Clean the filter with warm water and let it dry.",
    "Do not use oil on the rubber seals at all.",
    "Minutes of the parents' evening, written down by the secretary.",
    "The school trip was discussed, and most preferred the lake.",
    "A collection for the library brought in more than hoped.",
    "Preheat the oven and grease a tin of medium size.",
    "Stir the flour into the butter, then add the eggs.",
    "Bake it until a wooden stick comes out quite clean.",
    "Release notes: the start page now loads its pictures later.",
    "Fixed a rare crash when a window was closed twice.",
    "The export menu has moved into the settings of projects.",
    "Known issue: very long file names are cut in lists.",
    "Our guests praised the breakfast, the quiet and the beds.",
    "Some rooms face the yard, where deliveries come rather early.",
    "Dogs are welcome, but not in the small dining room.",
    "In the second half the home team played much better.",
    "Both goals fell within five minutes and changed the mood.",
    "The keeper was injured slightly and will miss two matches.",
    "Abstract: we measured how moss grows on walls of brick.",
    "Samples were taken monthly from twelve places around the town.",
    "Growth was strongest on northern sides and close to gutters.",
    "Further work should look at the age of the mortar.",
    "This policy describes how bicycles may be stored on site.",
    "Each tenant has one place, which is marked by number.",
    "Abandoned bicycles are labelled and removed after eight full weeks.",
    "The river path is closed between both bridges until spring.",
    "Follow the yellow signs through the park and past mills.",
    "Opening times may differ on holidays, so please ask before.",
    "Shipping usually takes four working days within the whole country.",
    "Returned goods are checked and the money is sent back.",
    "The warranty covers faults of material but no broken glass.",
)


@dataclass(frozen=True, slots=True)
class Prose:
    """Sentences to put around a text.

    Attributes:
        small_talk: In any order.
        report: In this order, some left out.
    """

    small_talk: tuple[str, ...]
    report: tuple[str, ...]


EVALUATED = Prose(SMALL_TALK, REPORT)
TRAINED = Prose(TRAINED_SMALL_TALK, TRAINED_REPORT)
