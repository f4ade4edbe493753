#!/usr/bin/env python3
"""Writes cldr.tsv, the names and patterns of languages, from the Unicode CLDR as Babel has it.

    pip install babel && python3 generate.py > cldr.tsv
"""

from datetime import date

from babel import Locale
from babel.core import get_cldr_version, get_global
from babel.localedata import locale_identifiers
from babel.numbers import get_currency_precision, get_currency_symbol, get_territory_currencies

LANGUAGES = """en af am ar az be bg bn bs ca cs cy da de el es et eu fa fi fil fr ga gl gu he hi hr
hu hy id is it ja ka kk km kn ko ky lo lt lv mk ml mn mr ms my nb ne nl nn pa pl pt ro ru si sk sl sq
sr sr_Latn sv sw ta te th tr uk ur uz vi zh zh_Hant""".split()
STYLES = ["full", "long", "medium", "short"]

BY_REGION = {}
for identifier in sorted(locale_identifiers()):
    parsed = Locale.parse(identifier)
    if parsed.territory:
        BY_REGION.setdefault(parsed.territory, parsed)


def clean(text, narrow=" "):
    # A narrow no-break space is a box or nothing in some mail programs; direction marks go unseen.
    for mark in "\u200e\u200f\u061c":
        text = text.replace(mark, "")
    return text.replace("\u202f", narrow)


def fields(locale, region):
    def listed(table, keys):
        return "|".join(clean(table[key]) for key in keys)

    months, days = locale.months, locale.days
    sunday_first = [6, 0, 1, 2, 3, 4, 5]
    periods = locale._data["day_periods"]["format"]
    def period(key, instead):
        for width in ("abbreviated", "wide"):
            found = dict(periods.get(width, {})).get(key)
            if found:
                return clean(found)
        return instead
    def halves():
        found = [dict(periods.get(width, {})) for width in ("abbreviated", "wide")]
        for one in found:
            if "am" in one and "pm" in one:
                return clean(one["am"]) + "|" + clean(one["pm"])
        return "AM|PM"
    eras = locale.eras["abbreviated"]
    symbols = locale.number_symbols["latn"]
    there = BY_REGION.get(region, locale)
    now = date.today()
    currencies = get_territory_currencies(region, now, now, tender=True)
    currency = currencies[0] if currencies else "XXX"
    return [
        listed(months["format"]["wide"], range(1, 13)),
        listed(months["stand-alone"]["wide"], range(1, 13)),
        listed(months["format"]["abbreviated"], range(1, 13)),
        listed(months["stand-alone"]["abbreviated"], range(1, 13)),
        listed(days["format"]["wide"], sunday_first),
        listed(days["format"]["abbreviated"], sunday_first),
        halves(),
        clean(eras[0]) + "|" + clean(eras[1]),
        "|".join(clean(locale.date_formats[style].pattern) for style in STYLES),
        # The moments of messages seldom have a zone: no style prints one.
        "|".join(clean(locale.time_formats[style].pattern) for style in ["medium", "medium", "medium", "short"]),
        "|".join(clean(str(locale.datetime_formats[style])) for style in STYLES),
        "|".join(clean(symbols[name], "\u00a0") for name in ["decimal", "group", "minusSign"]),
        "|".join(
            clean(pattern.pattern.split(";")[0], "\u00a0")
            for pattern in [locale.decimal_formats[None], locale.percent_formats[None], locale.currency_formats["standard"]]
        ),
        f"{(there.first_week_day + 1) % 7}|{there.min_week_days}",
        f"{currency}|{clean(get_currency_symbol(currency, locale))}|{get_currency_precision(currency)}",
    ]


def likely_region(tag):
    likely = get_global("likely_subtags")
    return likely.get(tag, likely.get(tag.split("_")[0], tag)).split("_")[-1]


def main():
    print(f"# Unicode CLDR {get_cldr_version()}, (c) Unicode, Inc., under the Unicode License V3; made by generate.py")
    rows = {}
    for tag in LANGUAGES:
        rows[tag] = fields(Locale.parse(tag), likely_region(tag))
        print("\t".join([tag.replace("_", "-")] + rows[tag]))
    for tag in sorted(locale_identifiers()):
        locale = Locale.parse(tag)
        parent = locale.language + (f"_{locale.script}" if locale.script else "")
        if tag in rows or not locale.territory or locale.territory.isdigit() or locale.variant or parent not in rows:
            continue
        own = fields(locale, locale.territory)
        changed = ["" if one == other else one for one, other in zip(own, rows[parent])]
        if any(changed):
            print("\t".join([tag.replace("_", "-")] + changed).rstrip("\t"))
    now = date.today()
    for region in sorted(get_global("territory_currencies")):
        found = get_territory_currencies(region, now, now, tender=True)
        if found and len(region) == 2:
            print("\t".join(["@", region, found[0], str(get_currency_precision(found[0]))]))


main()
