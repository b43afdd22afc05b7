"""Harmless prose to hide a text in: two small pieces written for this project, of no one's data.

Every sentence has ten words, so that a perturbation can say how many words it adds.
"""

from __future__ import annotations

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
