package mapping_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firebreak/adapters/hl7"
	"firebreak/internal/corpus"
	"firebreak/mapping"
)

// A dialect that cannot be used is refused with the line and why.
func TestADialectIsRefusedWithItsLine(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", `line 1: a dialect begins with "dialect NAME"`},
		{"no name", "# a note\nPID-8 through sex", `line 2: a dialect begins with "dialect NAME"`},
		{"a name of two words", "dialect my own", "line 1: a dialect's name is one word"},
		{"a path that is none", "dialect x\nPID.8 = M", `line 2: "PID.8" is not a path`},
		{"a field beyond all messages", "dialect x\nPID-8000 = M", "line 2: PID-8000: no message reaches so far"},
		{"an unknown verb", "dialect x\n\nPID-8 becomes M", `line 3: "becomes" is no rule`},
		{"two values", "dialect x\nPID-8 = a b", "line 2: a rule is"},
		{"an open quote", "dialect x\nPID-8 = \"M", "line 2: a quote is not closed"},
		{"nothing to set", "dialect x\nPID-8 = \"\"", `line 2: an empty value: say "clear"`},
		{"the delimiters", "dialect x\nclear MSH-2", "line 2: MSH-2 says how the message is read"},
		{"the character set", "dialect x\nMSH-18 = ASCII", "line 2: MSH-18 says how the message is read"},
		{"a field from itself", "dialect x\nPID-8 from PID-8", "line 2: a field from itself"},
		{"a table that is not there", "dialect x\nPID-8 through sex", "line 2: there is no table sex"},
		{"a table that nobody uses", "dialect x\ntable sex\n  1 -> M", "line 2: no rule goes through the table sex"},
		{"an empty table", "dialect x\ntable sex\nPID-8 through sex", "line 2: the table sex is empty"},
		{"a table twice", "dialect x\ntable sex\n 1 -> M\ntable sex\nPID-8 through sex", "line 4: the table sex is there twice"},
		{"a code twice", "dialect x\ntable sex\n 1 -> M\n 1 -> F\nPID-8 through sex", "line 4: 1 is there twice"},
		{"an entry without a table", "dialect x\n 1 -> M", "line 2: an indented line belongs to a table"},
		{"an entry that is none", "dialect x\ntable sex\n 1 = M\nPID-8 through sex", "line 3: a line of a table is"},
		{"a name without a code", "dialect x\ntable sex\n 1 -> | Male\nPID-8 through sex", "line 3: a name or a system without a code"},
		{"a system that is no URI", "dialect x\ntable sex\n 1 -> M | Male | http:\nPID-8 through sex", "line 3: the system http: is no URI"},
		{"names where they have no room", "dialect x\ntable ward\n 1 -> A | Ward A\nPV1-3.1 through ward", "line 4: the table ward gives names or systems"},
		{"a condition that ends", "dialect x\nPID-8 = M when PID-5 =", "line 2: PID-5 =: a value is missing"},
		{"a condition that is none", "dialect x\nPID-8 = M when PID-5 like X", `line 2: "like" is no condition`},
		{"conditions run together", "dialect x\nPID-8 = M when PID-5 sent PID-6 sent", `line 2: "PID-6" after a condition`},
		{"a resource that R4 has not", "dialect x\nZ01-1 -> Visit.extension(http://x.org/a).valueString", "line 2: R4 has no resource Visit"},
		{"a type that R4 has not", "dialect x\nZ01-1 -> Encounter.extension(http://x.org/a).valueText", "line 2: R4 has no valueText here"},
		{"a type that Observations have not", "dialect x\nZ01-1 -> Observation(http://x.org|a|A).valueCoding", "line 2: R4 has no valueCoding here"},
		{"a type that a field cannot be", "dialect x\nZ01-1 -> Encounter.extension(http://x.org/a).valueTiming", "line 2: a field cannot be made a Timing"},
		{"an extension without a URI", "dialect x\nZ01-1 -> Encounter.extension(ward).valueString", "line 2: the extension ward is no URI"},
		{"an Observation without a system", "dialect x\nZ01-1 -> Observation(weeks).valueString", "line 2: an Observation has a code"},
		{"a unit of a text", "dialect x\nZ01-1 -> Encounter.extension(http://x.org/a).valueString(wk)", "line 2: only a Quantity has a unit"},
		{"an element of the resource itself", "dialect x\nZ01-1 -> Encounter.status", "line 2: an element is TYPE.extension(URL)"},
		{"each line that is wrong", "dialect x\nPID.8 = M\nPID-8 through sex", "line 2: \"PID.8\" is not a path such as PID-3.4 or OBX[2]-5[3].1\nline 3: there is no table sex"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d, err := mapping.ReadDialect(c.text); err == nil || d != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

// dialect reads one of the tests' own, or fails them.
func dialect(t testing.TB, text string) *mapping.Dialect {
	t.Helper()
	d, err := mapping.ReadDialect(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func spoken(t testing.TB, text string) *mapping.Keys {
	return mapping.NewKeys(secret, mapping.Feed{Source: "test", Dialect: dialect(t, text)})
}

// TestFieldsAreReadAsTheDialectSays compares with the message that says the same
// without a dialect: to the mapping there is no difference.
func TestFieldsAreReadAsTheDialectSays(t *testing.T) {
	const msh = "MSH|^~\\&|LAB|HOSP|||20260301||ADT^A01|1|P|2.5.1\r"
	const pid = "PID|1||77^^^HOSP^MR||Doe^Jane||1970|F\r"
	const visit = "PV1|1|I|W1^1^2\r"
	for _, c := range []struct{ name, rules, sent, read string }{
		{"a code through a table", "table sex\n 2 -> F\nPID-8 through sex", msh + "PID|1||77^^^HOSP^MR||Doe^Jane||1970|2\r", msh + pid},
		{"any other code", "table sex\n * -> F\nPID-8 through sex", msh + "PID|1||77^^^HOSP^MR||Doe^Jane||1970|7\r", msh + pid},
		{"a code that is not in the table stays", "table sex\n 2 -> M\nPID-8 through sex", msh + pid, msh + pid},
		{"a code to nothing", "table sex\n 9 ->\nPID-8 through sex", msh + "PID|1||77^^^HOSP^MR||Doe^Jane||1970|9\r", msh + "PID|1||77^^^HOSP^MR||Doe^Jane||1970|\r"},
		{"each repetition, the own code behind", "table lang\n D -> de | German | ISO6391\nPID-15 through lang", msh + "PID|1||77^^^HOSP^MR||Doe^Jane||1970|F|||||||D^deutsch^L\r", msh + "PID|1||77^^^HOSP^MR||Doe^Jane||1970|F|||||||de^German^ISO6391^D^deutsch^L\r"},
		{"a component through a table", "table ward\n A -> W1\nPV1-3.1 through ward", msh + pid + "PV1|1|I|A^1^2\r", msh + pid + visit},
		{"a field from another segment", "PV1-19 from ZV1-2", msh + pid + "PV1|1|I|W1^1^2\rZV1||V7^^^HOSP\r", msh + pid + "PV1|1|I|W1^1^2||||||||||||||||V7^^^HOSP\rZV1||V7^^^HOSP\r"},
		{"all repetitions of it", "PID-11 from ZP1-1", msh + pid + "ZP1|1 Elm St^^Town~2 Oak St^^Town\r", msh + "PID|1||77^^^HOSP^MR||Doe^Jane||1970|F|||1 Elm St^^Town~2 Oak St^^Town\rZP1|1 Elm St^^Town~2 Oak St^^Town\r"},
		{"nothing sent moves nothing", "PID-5 from ZP1-1", msh + pid + "ZP1|\"\"\r", msh + pid + "ZP1|\"\"\r"},
		{"components as subcomponents", "PID-3.4 from MSH-4", "MSH|^~\\&|LAB|H^1.2.3^ISO|||20260301||ADT^A01|1|P|2.5.1\rPID|1||77||Doe^Jane\r", "MSH|^~\\&|LAB|H^1.2.3^ISO|||20260301||ADT^A01|1|P|2.5.1\rPID|1||77^^^H&1.2.3&ISO||Doe^Jane\r"},
		{"subcomponents as components", "PV1-19 from ZV1-1.2", msh + pid + "PV1|1|I\rZV1|a^V7&x\r", msh + pid + "PV1|1|I|||||||||||||||||V7^x\rZV1|a^V7&x\r"},
		{"within one repetition", "PID-3.5 from PID-3.6", msh + "PID|1||77^^^HOSP^^MR~88^^^HOSP^^PI||Doe^Jane||1970|F\r", msh + "PID|1||77^^^HOSP^MR^MR~88^^^HOSP^PI^PI||Doe^Jane||1970|F\r"},
		{"a second repetition", "PID-3[2] from PID-4", msh + "PID|1||77^^^HOSP^MR|88^^^CLINIC^MR|Doe^Jane||1970|F\r", msh + "PID|1||77^^^HOSP^MR~88^^^CLINIC^MR|88^^^CLINIC^MR|Doe^Jane||1970|F\r"},
		{"a constant where the condition holds", "PID-3.5 = MR when PID-3.4 = HOSP or CLINIC and PID-3.5 empty", msh + "PID|1||55^^^STATE~77^^^HOSP~88^^^CLINIC^PI||Doe^Jane||1970|F\r", msh + "PID|1||55^^^STATE~77^^^HOSP^MR~88^^^CLINIC^PI||Doe^Jane||1970|F\r"},
		{"a constant for what was not sent", "PV1-2 = I when PV1-2 empty", msh + pid + "PV1|1||W1^1^2\r", msh + pid + visit},
		{"not where it does not", "PV1-2 = O when MSH-9.2 != A01", msh + pid + visit, msh + pid + visit},
		{"delimiters in a constant are text", "PID-5.1 = \"O'Neil & Sons^\"", msh + pid, msh + "PID|1||77^^^HOSP^MR||O'Neil \\T\\ Sons\\S\\^Jane||1970|F\r"},
		{"a field cleared", "clear PV1-3 when PV1-3.1 = W1", msh + pid + visit, msh + pid + "PV1|1|I|\r"},
		{"a trigger of its own", "MSH-9.2 = A01 when MSH-9.2 = Z01", strings.Replace(msh, "A01", "Z01", 1) + pid + visit, msh + pid + visit},
		{"one rule after the other", "PV1-3.1 from ZV1-1\ntable ward\n A -> W1\nPV1-3.1 through ward", msh + pid + "PV1|1|I|^1^2\rZV1|A\r", msh + pid + visit + "ZV1|A\r"},
		{"a Z segment belongs to the one before it", "DG1-3.2 from ZDG-1", msh + pid + "DG1|1||A\rZDG|one\rDG1|2||B\rZDG|two\rDG1|3||C\r", msh + pid + "DG1|1||A^one\rZDG|one\rDG1|2||B^two\rZDG|two\rDG1|3||C\r"},
		{"without the segment nothing is set", "PV1-2 = I", msh + pid, msh + pid},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := spoken(t, "dialect x\n"+c.rules)
			got, err := mapping.Map(k, message([]byte(c.sent)))
			if err != nil {
				t.Fatal(err)
			}
			sound(t, got)
			want, err := mapping.Map(mapping.NewKeys(secret), message([]byte(c.read)))
			if err != nil {
				t.Fatal(err)
			}
			if changes := mapping.Compare(want, got); len(changes) > 0 || got.Patient != want.Patient {
				t.Errorf("%+v", changes)
			}
			if key, err := mapping.PatientKey(k, message([]byte(c.sent))); err != nil || key != got.Patient.ID {
				t.Errorf("PatientKey: %s, %v", key, err)
			}
		})
	}
}

// What the standard has no field for is said in FHIR, of its type, or left out
// with a note that quotes nothing.
func TestWhatTheStandardHasNoFieldForIsSaid(t *testing.T) {
	const sent = "MSH|^~\\&|PAS|HOSP|||20260301||ADT^A01|1|P|2.5.1\rPID|1||77^^^HOSP^MR||Doe^Jane\rPV1|1|I|||||||||||||||||V7^^^HOSP\r" +
		"ZZZ|text \\T\\ more|20260228|Y|A1^Alpha^L~A2^Beta^L|31|7^^^HOSP^MR|x y|not-a-date\r"
	for _, c := range []struct{ name, rule, element, want string }{
		{"string", "ZZZ-1 -> Encounter.extension(http://x.org/a).valueString", "Encounter.extension.valueString", `"text & more"`},
		{"date", "ZZZ-2 -> Patient.extension(http://x.org/a).valueDate", "Patient.extension.valueDate", `"2026-02-28"`},
		{"boolean", "ZZZ-3 -> Patient.extension(http://x.org/a).valueBoolean", "Patient.extension.valueBoolean", "true"},
		{"code", "ZZZ-4.1 -> Patient.extension(http://x.org/a).valueCode", "Patient.extension.valueCode", `"A1","A2"`},
		{"concept", "ZZZ-4[2] -> Patient.extension(http://x.org/a).valueCodeableConcept", "Patient.extension.valueCodeableConcept.coding.code", `"A2"`},
		{"coding", "ZZZ-4[1] -> Patient.extension(http://x.org/a).valueCoding", "Patient.extension.valueCoding.display", `"Alpha"`},
		{"integer", "ZZZ-5 -> Patient.extension(http://x.org/a).valueInteger", "Patient.extension.valueInteger", "31"},
		{"identifier", "ZZZ-6 -> Encounter.extension(http://x.org/a).valueIdentifier", "Encounter.extension.valueIdentifier.value", `"7"`},
		{"a part of an extension", "ZZZ-3 -> Patient.extension(http://x.org/a).extension(said).valueBoolean", "Patient.extension.extension.valueBoolean", "true"},
		{"a quantity of its own", "ZZZ-5 -> Observation(http://loinc.org|11884-4|Gestational age).valueQuantity(wk)", "Observation.valueQuantity.value", "31"},
		{"under a condition", "ZZZ-5 -> Patient.extension(http://x.org/a).valueInteger when ZZZ-3 = N", "Patient.extension.valueInteger", ""},
		{"not a date", "ZZZ-8 -> Patient.extension(http://x.org/a).valueDate", "Patient.extension.valueDate", ""},
		{"not a code", "ZZZ-7 -> Observation(http://x.org|a|A).valueBoolean", "Observation.valueBoolean", ""},
		{"nothing it could stand in", "ZZZ-1 -> Coverage.extension(http://x.org/a).valueString", "Coverage.extension.valueString", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := mapping.Map(spoken(t, "dialect x\n"+c.rule), message([]byte(sent)))
			if err != nil {
				t.Fatal(err)
			}
			sound(t, r)
			plain, err := mapping.Map(mapping.NewKeys(secret), message([]byte(sent)))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, x := range mapping.Compare(plain, r) {
				if x.Element == c.element {
					got = strings.Join(x.Is, ",")
				}
			}
			if got != c.want {
				t.Errorf("%s is %s, want %s", c.element, got, c.want)
			}
			said := slices.ContainsFunc(r.Notes, func(n string) bool { return strings.HasPrefix(n, "ZZZ-") })
			if said != strings.HasPrefix(c.name, "not") {
				t.Errorf("notes: %v", r.Notes)
			}
			for _, n := range r.Notes {
				if strings.Contains(n, "not-a-date") || strings.Contains(n, "x y") {
					t.Errorf("the note quotes: %s", n)
				}
			}
		})
	}
}

// The version is of what the rules say; it stands in the Provenance, and no other
// resource knows it.
func TestADialectHasAVersion(t *testing.T) {
	const sent = "MSH|^~\\&|PAS|HOSP|||20260301||ADT^A01|1|P|2.5.1\rPID|1||77^^^HOSP^MR||Doe^Jane"
	a := dialect(t, "dialect x\nclear PID-30\n")
	for text, same := range map[string]bool{
		"# what for\ndialect x\n\n  # why\nclear   PID-30 # how": true, "dialect x\r\nclear PID-30": true,
		"dialect y\nclear PID-30": false, "dialect x\nclear PID-31": false, "dialect x\nclear PID-30 when PID-30 = Y": false,
	} {
		if b := dialect(t, text); (a.ID() == b.ID()) != same {
			t.Errorf("%q has the version %s beside %s", text, b.ID(), a.ID())
		}
	}
	r, err := mapping.Map(mapping.NewKeys(secret, mapping.Feed{Source: "test", Dialect: a}), message([]byte(sent)))
	if err != nil {
		t.Fatal(err)
	}
	for _, res := range r.Resources {
		if told := bytes.Contains(res.JSON(), []byte(a.ID())); told != (res.Type() == "Provenance") {
			t.Errorf("%v: told is %v", res.Ref(), told)
		}
	}
}

// A trace names the field that was sent, not the one it was moved to.
func TestATraceNamesTheFieldThatWasSent(t *testing.T) {
	fields, err := mapping.Explain(spoken(t, "dialect x\nPV1-44 from ZV1-2\n"), message([]byte("MSH|^~\\&|PAS|HOSP|||20260301||ADT^A01|1|P|2.5.1\rPID|1||77^^^HOSP^MR||Doe^Jane\rPV1|1|I|||||||||||||||||V7\rZV1|x|202602281000\r")))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(fields, func(f mapping.Field) bool { return f.Place == "ZV1-2" })
	if i < 0 || !slices.Contains(fields[i].Elements, "Encounter.period.start") {
		t.Errorf("%+v", fields)
	}
	if unread := mapping.Unread(fields); !slices.Contains(unread, "ZV1-1") || slices.Contains(unread, "ZV1-2") {
		t.Errorf("unread: %v", unread)
	}
}

// A message that declares no delimiter for what a rule writes is held.
func TestAMessageWithoutTheDelimiterIsHeld(t *testing.T) {
	_, err := mapping.Map(spoken(t, "dialect x\nPID-3.4.2 = 1.2.3"), message([]byte("MSH|^|PAS|HOSP|||20260301||ADT^A01|1|P|2.5.1\rPID|1||77^HOSP||Doe^Jane")))
	if err == nil || !strings.Contains(err.Error(), "PID-3 in segment 2: the dialect's line 2") {
		t.Error(err)
	}
}

// examples are the dialects that docs/feeds.md shows.
func examples(t testing.TB) map[string]*mapping.Dialect {
	files, err := filepath.Glob("../docs/example/dialects/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialects", err)
	}
	all := map[string]*mapping.Dialect{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d, err := mapping.ReadDialect(string(b))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if d.Name+".txt" != filepath.Base(file) {
			t.Errorf("%s is called %s", file, d.Name)
		}
		all[d.Name] = d
	}
	return all
}

// Whatever a file says, it is read or refused with a line; and whatever message
// it is applied to is mapped to FHIR or held with a place.
func FuzzDialect(f *testing.F) {
	files, _ := filepath.Glob("../docs/example/dialects/*.txt")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b), []byte("MSH|^~\\&|PAS|RCB|||2010||ADT^A01|1|P|2.4\rPID|1||3^^^NHS||S^F||1965|2\rPV1|1|I|W|13||||||||||||||V\rZU1|2010|1\rZBE|1|2024|||||A^^^^^^^^^1\r"))
	}
	f.Add("dialect x\ntable t\n a -> b | c | http://d.e/f\n * ->\nOBX-3 through t when OBX-3.1 != q and OBR-4 sent\nOBX[2]-5[3].1.2 from ZX1-1\nclear NTE-3\nZX1-1 -> Observation(http://a.b|c|d).valueString", []byte("MSH|^~\\&|||||||ORU^R01|1\rPID|||1\rOBR|1||1|a\rOBX|1|ST|a||b||||||F\rZX1|c~d&e^f\r"))
	f.Fuzz(func(t *testing.T, text string, body []byte) {
		d, err := mapping.ReadDialect(text)
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "line ") {
					t.Fatalf("no line: %q", line)
				}
			}
			return
		}
		k := mapping.NewKeys(secret, mapping.Feed{Source: "test", Dialect: d})
		r, err := mapping.Map(k, message(body))
		key, keyErr := mapping.PatientKey(k, message(body))
		if err != nil {
			if !place.MatchString(err.Error()) || strings.Contains(err.Error(), "not FHIR") {
				t.Fatalf("no place: %v", err)
			}
			return
		}
		if keyErr != nil || key != r.Patient.ID {
			t.Fatal("PatientKey differs from Map")
		}
		sound(t, r)
		again, _ := mapping.Map(k, message(body))
		if !bytes.Equal(mapping.Bundle(r), mapping.Bundle(again)) {
			t.Error("twice is not the same")
		}
	})
}

// corpusFile is a file of the corpus, its first message.
func corpusFile(t testing.TB, path ...string) []byte {
	t.Helper()
	for part, err := range hl7.Files(filepath.Join(append([]string{corpus.Dir(t, "corpus", "hl7v2")}, path...)...)) {
		if err != nil {
			t.Fatal(err)
		}
		if part.Kind == hl7.MessagePart {
			return part.Message()
		}
	}
	t.Fatalf("no message in %v", path)
	return nil
}
