//! Names of columns in many languages and other systems.
//!
//! [`HEADINGS`] lists only unambiguous names. Ambiguous names are suggested instead of accepted:
//! `valid until` may or may not include that day, `amount` may be money, and `used` may be a count.
//! docs/uploads.md has both tables.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::header::Column;
use promoflow_tabular::fold;

/// The headings of every column, several per line, separated by commas. Case, spaces, accents and
/// marks are ignored.
pub(super) const HEADINGS: &[(Column, &[&str])] = &[
    (
        Column::Code,
        &[
            // English, and other systems: Shopify, WooCommerce, Magento, Klaviyo, Voucherify,
            // Braze, Saleor, PrestaShop, OpenCart, Stripe, Recharge, Inxmail.
            "code, codes, code value, unique code, unique codes, redemption code, promo code",
            "promo codes, promotion code, promotion codes, promotional code, promotional codes",
            "coupon, coupons, coupon code, coupon codes, coupon number, coupon numbers",
            "voucher, vouchers, voucher code, voucher codes, voucher number, discount code",
            "discount codes, offer code, offer codes, gift code, gift codes, gift card code",
            "gift card codes, reward code, reward codes, referral code, referral codes",
            "cart rule code",
            // Ukrainian.
            "код, коди, промокод, промокоди, промо код, промо коди, купон, купони, код купона",
            "коди купонів, ваучер, ваучери, код ваучера, коди ваучерів, код знижки",
            "коди знижок, код на знижку, знижковий код, унікальний код, подарунковий код",
            // Russian.
            "коды, промокоды, промо коды, купоны, коды купонов, ваучеры, коды ваучеров",
            "код скидки, коды скидок, код на скидку, скидочный код, уникальный код",
            "подарочный код",
            // Belarusian, Bulgarian, Serbian, Macedonian.
            "промакод, промакоды, промокодове, кодове, код за отстъпка, купон код",
            "промо кодове, промокодови, кодови, кôд",
            // Polish.
            "kod, kody, kod rabatowy, kody rabatowe, kod promocyjny, kody promocyjne, kupon",
            "kupony, kod kuponu, kod zniżkowy, kody zniżkowe, bon, kod bonu, voucher kod",
            "kod vouchera",
            // Czech, Slovak, Slovene, Croatian.
            "kód, kódy, slevový kód, slevové kódy, kód kuponu, kód kupónu, kupón, kupóny",
            "zľavový kód, zľavové kódy, promo kód, promo kódy, promocijska koda, koda, kode",
            "kodovi, promo kod, promo kodovi, promotivni kod, kod za popust, kupon kod",
            "koda za popust",
            // German.
            "gutschein, gutscheine, gutscheincode, gutscheincodes, gutschein code",
            "gutschein codes, gutscheinnummer, rabattcode, rabattcodes, rabatt code",
            "aktionscode, aktionscodes, promotionscode, promocode, promocodes, couponcode",
            "couponcodes, vouchercode, vouchercodes",
            // Dutch, Swedish, Norwegian, Danish, Finnish.
            "kortingscode, kortingscodes, kortingsbon, actiecode, actiecodes, waardebon",
            "waardeboncode, rabattkod, rabattkoder, kampanjkod, kampanjkoder, kupongkod",
            "kupong, kuponger, koder, rabattkode, kupongkode, rabatkode, rabatkoder, kuponkode",
            "gavekode, alennuskoodi, alennuskoodit, koodi, koodit, kuponki, etukoodi",
            // French.
            "code promo, codes promo, code promotionnel, codes promotionnels",
            "code de réduction, codes de réduction, code réduction, code coupon",
            "bon de réduction, code avantage, code cadeau",
            // Spanish, Portuguese, Italian, Romanian.
            "código, códigos, código promocional, códigos promocionales, código de descuento",
            "códigos de descuento, cupón, cupones, código de cupón, códigos promocionais",
            "código de desconto, códigos de desconto, cupom, cupons, cupão, código do cupom",
            "código promo, codice, codici, codice sconto, codici sconto, codice promozionale",
            "codici promozionali, codice coupon, buono, buono sconto, codice promo, cod",
            "coduri, cod promoțional, coduri promoționale, cod de reducere, coduri de reducere",
            "cod voucher",
            // Hungarian, Turkish, Greek, Lithuanian, Latvian, Estonian.
            "kuponkód, kuponkódok, kedvezménykód, promóciós kód, kupon kodu, kupon kodları",
            "indirim kodu, indirim kodları, promosyon kodu, κωδικός, κωδικοί, κουπόνι",
            "εκπτωτικός κωδικός, kodas, kodai, nuolaidos kodas, kods, kodi, atlaides kods",
            "kood, koodid, sooduskood, kupongikood",
            // Georgian, Kazakh, Hebrew, Arabic, Chinese, Japanese, Korean.
            "კოდი, პრომოკოდი, промокодтар, кодтар, קוד, קוד קופון, كود, كود الخصم, رمز القسيمة",
            "优惠码, 优惠券码, 折扣码, 兑换码, クーポンコード, プロモーションコード, コード, 쿠폰 코드, 프로모션 코드",
        ],
    ),
    (
        Column::ExpirationDate,
        &[
            "expirationDate, expiration, expiry, expiry date, expire date, expires, expires at",
            "expires on, expired at, expiring date, date expires, date of expiry",
            "expiration date time, coupon expiry date, дата закінчення, дата завершення",
            "термін дії, дата закінчення дії, закінчується, дата окончания, срок действия",
            "дата истечения, истекает, дата окончания действия, data ważności, termin ważności",
            "data wygaśnięcia, wygasa, ablaufdatum, verfallsdatum, verfallsdatum gutschein",
            "läuft ab, date d'expiration, expire le, fecha de caducidad, fecha de vencimiento",
            "fecha de expiración, caduca, data de validade, data de expiração",
            "data di scadenza, scadenza, vervaldatum, verloopdatum, utgångsdatum, utløpsdato",
            "udløbsdato, datum expirace, datum vypršení, dátum expirácie, data expirării",
            "lejárat, lejárati dátum, son kullanma tarihi",
        ],
    ),
    (
        Column::Discount,
        &[
            "discount, discount %, discount percent, discount percentage, discount in percent",
            "percent off, percentage off, знижка, знижка %, знижка у відсотках, скидка",
            "скидка %, скидка в процентах, процент скидки, rabat, rabat %, zniżka, zniżka %",
            "rabatt, rabatt %, rabatt in prozent, sleva, sleva %, zľava, remise, remise %",
            "réduction, descuento, descuento %, desconto, sconto, sconto %, korting, korting %",
            "reducere, kedvezmény, indirim",
        ],
    ),
    (
        Column::Type,
        &[
            "type, code type, тип, тип коду, тип кода, тип промокода, тип промокоду, typ",
            "typ kodu, codetyp, tipo",
        ],
    ),
    (Column::InUse, &["inUse, in use, is in use"]),
];

/// Headings that may mean a column; an error message suggests it.
pub(super) const SUGGESTIONS: &[(Column, &[&str])] = &[
    (
        Column::Code,
        &[
            "promo, promos, promotion, name, title, text, serial, serial number, number, id",
            "pin, key, token, gift, bonus, post title, промо, номер, numer, nummer, numéro",
        ],
    ),
    (
        Column::ExpirationDate,
        &[
            "valid until, valid to, valid till, valid thru, valid through, validity, end date",
            "ends at, end, ends, until, redeem by, redeem by date, send by date, use by",
            "best before, date, дійсний до, діє до, дата, действует до, действителен до",
            "ważny do, gültig bis, enddatum, valable jusqu'au, date de fin, válido hasta",
            "fecha fin, válido até, valido fino al, geldig tot, giltig till, platnost do",
            "platí do",
        ],
    ),
    (
        Column::Discount,
        &[
            "amount, coupon amount, discount amount, discount value, value, percent, %",
            "percentage, rate, сума, сумма, kwota, betrag, montant, importe",
        ],
    ),
    (
        Column::Type,
        &["group, category, campaign, segment, kind, list, list name, категорія, категория"],
    ),
    (
        Column::InUse,
        &[
            "used, is used, redeemed, claimed, status, active, disabled, використано",
            "использован",
        ],
    ),
];

/// Words of headings and titles, in lower case and without accents.
const WORDS: &[&str] = &[
    "my, our, your, list, export, exported, report, name, number, unique, unused, code, codes",
    "coupon, coupons, voucher, vouchers, promo, promos, promotion, promotions, promotional",
    "discount, discounts, gift, card, cards, giftcard, giftcards, certificate, certificates",
    "bonus, offer, offers, reward, rewards, deals, redemption, available, sheet, column, field",
    "table, spalte, tabelle, arkusz, kolumna, лист, аркуш, столбец, стовпець, колонка, таблица",
    "таблиця, kod, kody, kodu, kodow, kode, koder, kodes, koda, kodai, kodas, kods, kodi",
    "koodi, koodit, kood, koodid, kupon, kupony, kuponu, kupons, kupong, kuponger, kuponki",
    "rabat, rabatt, rabatowy, rabatowe, rabais, znizka, znizki, znizkowy, promocyjny",
    "promocyjne, promocja, promocje, bon, bony, lista, liste, unsere, meine, alle, aktion",
    "aktions, gutschein, gutscheine, gutscheins, nummer, nummern, numer, korting, kortings",
    "actie, waardebon, kampanj, kampanje, kampagne, alennus, sleva, slevovy, slevove, zlava",
    "zlavovy, popust, remise, reduction, reductions, avantage, cadeau, promotionnel, codigo",
    "codigos, cupon, cupones, cupom, cupons, cupao, descuento, descuentos, desconto, descontos",
    "promocional, promocionales, promocionais, codice, codici, sconto, sconti, buono, buoni",
    "cod, coduri, reducere, indirim, kodlari, kedvezmeny, kuponkod, код, коды, коди, кодів",
    "кодов, промо, промокод, промокоды, промокоди, промокодів, промокодов, купон, купоны",
    "купони, купонів, купонов, ваучер, ваучеры, ваучери, сертификат, сертификаты, сертифікат",
    "сертифікати, скидка, скидки, скидок, знижка, знижки, знижок, акция, акции, акція, акції",
    "бонус, бонусы, бонуси, список, перелік, мои, мої, наши, наші, все, усі, всі, номер",
    "подарочный, подарунковий",
];

/// Stems of words for codes in many languages.
const STEMS: &[&str] = &[
    "coupon, cupon, kupon, voucher, vaucher, vaučer, gutschein, promocod, promokod, rabatt",
    "discountcod, giftc, купон, ваучер, промокод",
];

/// Endings of words for codes.
const ENDINGS: &[&str] = &[
    "kod, kode, koder, kodas, kodai, kods, kody, code, codes, kood, koodi, codice, codigo",
    "coupon, coupons, voucher, vouchers, kupon, kupong, gutschein, код, коды, коди",
];

/// Headings by their folded form.
static KNOWN: LazyLock<HashMap<String, Column>> = LazyLock::new(|| index(HEADINGS));
static SUGGESTED: LazyLock<HashMap<String, Column>> = LazyLock::new(|| index(SUGGESTIONS));
static WORDS_FOLDED: LazyLock<Vec<Vec<char>>> = LazyLock::new(|| {
    split_list(WORDS)
        .map(|word| fold(word).chars().collect())
        .collect()
});

static STEMS_FOLDED: LazyLock<Vec<String>> =
    LazyLock::new(|| split_list(STEMS).map(fold).collect());
static ENDINGS_FOLDED: LazyLock<Vec<String>> =
    LazyLock::new(|| split_list(ENDINGS).map(fold).collect());

fn index(table: &[(Column, &'static [&'static str])]) -> HashMap<String, Column> {
    let mut names = HashMap::new();
    for (column, headings) in table {
        for heading in split_list(headings) {
            names.entry(fold(heading)).or_insert(*column);
        }
    }
    names
}

/// Splits a list into its names or words.
pub(super) fn split_list(list: &'static [&'static str]) -> impl Iterator<Item = &'static str> {
    list.iter().flat_map(|line| line.split(", "))
}

/// Returns the column that a heading names.
pub(super) fn known(heading: &str) -> Option<Column> {
    KNOWN.get(&fold(heading)).copied()
}

/// Returns the column that a heading probably means.
pub(super) fn suggested(heading: &str) -> Option<Column> {
    SUGGESTED.get(&fold(heading)).copied()
}

/// Returns true if a text consists of words for codes, joined or not, or starts or ends with one,
/// as headings and titles do.
pub(super) fn is_made_of_words(text: &str) -> bool {
    let letters: Vec<char> = fold(text).chars().collect();
    // Longer texts have other features of a title.
    if letters.is_empty() || letters.len() > 60 {
        return false;
    }
    let mut reached = vec![false; letters.len() + 1];
    reached[0] = true;
    for at in 0..letters.len() {
        if !reached[at] {
            continue;
        }
        for word in WORDS_FOLDED.iter() {
            if letters[at..].starts_with(word) {
                reached[at + word.len()] = true;
            }
        }
    }
    let folded: String = letters.iter().collect();
    reached[letters.len()]
        || STEMS_FOLDED.iter().any(|stem| folded.starts_with(stem))
        || ENDINGS_FOLDED.iter().any(|ending| folded.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_unambiguous_and_have_no_digits() {
        let mut seen: HashMap<String, Column> = HashMap::new();
        for (column, headings) in HEADINGS {
            for heading in split_list(headings) {
                let folded = fold(heading);
                assert!(!folded.is_empty(), "{heading}");
                assert!(!heading.contains(char::is_numeric), "{heading}");
                let other = *seen.entry(folded).or_insert(*column);
                assert_eq!(other, *column, "{heading}");
                assert_eq!(known(heading), Some(*column), "{heading}");
            }
        }
    }

    #[test]
    fn recognises_headings_in_any_spelling() {
        for heading in [
            "Coupon Code",
            "COUPON_CODE",
            "coupon-code",
            "couponCode",
            "Coupon codes:",
            "\"Code\"",
            "«Код»",
            "Promo\u{A0}code",
            "\u{FEFF}code",
            "Code*",
            "Code(s)",
            "co\u{301}digo",
            "Código",
            "CODIGO",
            "Ｃｏｄｅ",
            "`code`",
            "  Промокод ",
            "Kod rabatowy",
            "# code",
            "Voucher-Code",
        ] {
            assert_eq!(known(heading), Some(Column::Code), "{heading}");
        }
        assert_eq!(known("Discount (%)"), Some(Column::Discount));
        assert_eq!(known("Expiry Date"), Some(Column::ExpirationDate));
        assert_eq!(known("A1"), None);
        assert_eq!(known(""), None);
        assert_eq!(known("№"), None);
    }

    #[test]
    fn recognises_headings_made_of_words_for_codes() {
        for text in [
            "My codes",
            "Rabattkod",
            "Unsere Gutscheincodes",
            "PROMO",
            "coupon_list",
            "Мої промокоди",
            "Kody rabatowe",
            "Vaucheris",
            "Kuponkikoodi",
            "Werbecode",
        ] {
            assert!(is_made_of_words(text), "{text}");
        }
        for text in ["WELCOME", "SUMMER", "winter", "SAVE", "ABCDEF", "XKQWPLMZ"] {
            assert!(!is_made_of_words(text), "{text}");
        }
    }

    /// docs/uploads.md lists all accepted and suggested headings.
    #[test]
    fn the_documentation_lists_the_headings() {
        let docs = include_str!("../../../../../docs/uploads.md");
        for (title, table) in [("known", HEADINGS), ("suggested", SUGGESTIONS)] {
            for (column, headings) in table {
                let names: Vec<&str> = split_list(headings).collect();
                let row = format!("| `{}` | {} |", column.name(), names.join(", "));
                assert!(
                    docs.contains(&row),
                    "docs/uploads.md lacks the {title} headings:\n{row}"
                );
            }
        }
    }
}
