//! Method calls made from bytes: mutations of text rarely produce an existing name with valid
//! arguments.

use arbitrary::Unstructured;

/// The values on and with which methods are called, in addition to `$r`, the last result.
pub const VALUES: &str = r#"{"s": "Black <Friday> & 'ї🎁'", "t": "a,b,,c", "e": "", "n": 7,
    "k": -9223372036854775808, "w": 123456789012345678901234567890, "d": -1234.5678,
    "h": 1e300, "b": true, "l": ["b", 2, null, "b"], "o": [[1], {"x": 2}], "m": {"a": 1, "b": [2]}}"#;

const TARGETS: &str = "$r $r $r $s $s $t $e $n $k $w $d $h $b $l $o $m $none $foreach $esc $math \
    $number $date $dateTool";

const METHODS: &str = "abs add addAll addDays addHours addMinutes addMonths addYears after before booleanValue byteValue ceil charAt charValue clear \
    codePointAt compare compareTo currency currentDate currentTimeStamp compareToIgnoreCase concat contains containsAll containsKey \
    containsValue contentEquals copyValueOf diff div doubleValue endsWith entrySet equals \
    equalsIgnoreCase floatValue floor format formatDate formatInContactTimezone formatted get getClass getCount getDate getDay getFirst getIndex \
    getKey getLast getMonth getOrDefault getParent getTime getTopmost getValue getYear hashCode html idiv indexOf intValue \
    integer intern isBlank isDigit isEmpty isInfinite isLetter isLowerCase isNaN isUpperCase \
    javascript join keySet lastIndexOf length logicalAnd logicalOr logicalXor longValue matches \
    max min mod mul number parse parseBoolean parseDouble parseInt parseLong percent pow put putAll \
    putIfAbsent remove removeAll repeat replace replaceAll replaceFirst retainAll round roundTo \
    roundToInt set shortValue signum size split startsWith strip stripLeading stripTrailing sub \
    subList subSequence substring sum toArray toBinaryString toDate toDouble toHexString toInteger \
    toLowerCase toNumber toOctalString toString toUpperCase trim url valueOf values xml";

const ARGUMENTS: &str = "$r $r $s $t $e $n $k $w $d $h $b $l $o $m $none 0 1 2 -1 3 2147483647 \
    9223372036854775807 1.5 'a' 'b' ',' '' '1' '-0.5e3' 'ї' 'x' '$1' '[a-z]+' '(?i)(\\p{L})(.)?' \
    '\\d{2,}' '%s' '%5d' '%-8.3f|%,+d' '%x%o%c%b%S' '%1$08d' '#,##0.00' '0%' 'yyyy-MM-dd' \
    'EEEE_MMM_yy_hh:mm_a' '2017-12-31T23:59' \
    '01/02/2020' 'dd/MM/yyyy' 'long' 'short' 'currency' 'DAYS' 'MONTHS' 'GMT+3' 'Europe/Kyiv' 'uk' true false [1,'b'] [1..3] {'a':2} [$r] $s.charAt(1)";

/// Builds a template of some calls.
pub fn template(bytes: &[u8]) -> String {
    let [targets, methods, arguments] = [TARGETS, METHODS, ARGUMENTS]
        .map(|words| words.split_ascii_whitespace().collect::<Vec<_>>());
    let mut bytes = Unstructured::new(bytes);
    let mut source = String::from("#set($r = $s)");
    while !bytes.is_empty() && source.len() < 2_000 {
        let mut choose = |from: &[&'static str]| bytes.choose(from).map_or("$r", |word| *word);
        let (target, method) = (choose(&targets), choose(&methods));
        let list: Vec<_> = (0..3).map(|_| choose(&arguments)).collect();
        let count = bytes.int_in_range(0..=3).unwrap_or(0);
        let list = list.get(..count).unwrap_or(&[]).join(", ");
        source.push_str(&match bytes.int_in_range(0..=3).unwrap_or(0) {
            0 => format!(
                "$!{target_}.{method}({list}) ",
                target_ = target.trim_start_matches('$')
            ),
            1 => format!("#if({target}.{method}({list}) == $s || $r < $d)y#end"),
            2 => format!("#foreach($i in {target}.{method}({list}))$i$foreach.{method}#end"),
            _ => format!("#set($r = {target}.{method}({list}))$!r "),
        });
    }
    source
}
