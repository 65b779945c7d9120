package hl7

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const oru = "MSH|^~\\&|LAB|MERCY|GW|CITY|20260102030405-0500||ORU^R01^ORU_R01|42|P|2.5.1\r" +
	"PID|1||123^^^X&1.2.3&ISO^MR~9^^^Y^PI||O\\T\\Brien^Ann^\"\"||19880818|F|\"\"\r" +
	"NTE|1||about her\r" +
	"ORC|RE|1\r" +
	"OBR|1|1||CBC^Count^L\r" +
	"NTE|1||about the order\r" +
	"OBX|1|NM|WBC^White^L||7.10|10*9/L\r" +
	"NTE|1||about the result\r" +
	"OBX|2|ST|RBC^Red^L||many & more^really\r" +
	"OBR|2|2||GLU^Glucose^L\r" +
	"OBX|1|NM|GLU||5.5\r" +
	"SPM|1\r" +
	"OBX|1|NM|VOL||3\r"

func parse(t testing.TB, s string) *Message {
	t.Helper()
	m, err := Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAccessors(t *testing.T) {
	m := parse(t, oru)
	pid, msh := m.Segment("PID"), m.Segment("MSH")
	obx := slices.Collect(m.All("OBX"))
	for _, c := range []struct{ what, got, want string }{
		{"type", m.Type().String(), "ORU^R01"},
		{"structure", m.Type().Structure, "ORU_R01"},
		{"control id", m.ControlID(), "42"},
		{"version", m.Version(), "2.5.1"},
		{"MSH-1", msh.Field(1).String(), "|"},
		{"MSH-2", msh.Field(2).String(), `^~\&`},
		{"MSH-2 has one repetition", fmt.Sprint(msh.Field(2).Len()), "1"},
		{"MSH-2 is one component", msh.Field(2).Component(1).Sub(1).Text(), `^~\&`},
		{"MSH-2.2 is none", msh.Field(2).Component(2).String(), ""},
		{"MSH-3", msh.Field(3).String(), "LAB"},
		{"field of a composite gives the first value", pid.Field(3).String(), "123"},
		{"component of the first repetition", pid.Field(3).Component(5).String(), "MR"},
		{"component of the second repetition", pid.Field(3).Rep(1).Component(5).String(), "PI"},
		{"component with subcomponents gives the first", pid.Field(3).Component(4).String(), "X"},
		{"subcomponent", pid.Field(3).Component(4).Sub(2).String(), "1.2.3"},
		{"escape decoded", pid.Field(5).Component(1).String(), "O&Brien"},
		{"raw keeps the escape", pid.Field(5).Component(1).Raw(), `O\T\Brien`},
		{"text keeps delimiters", obx[1].Field(5).Text(), "many & more^really"},
		{"string of the same gives the first", obx[1].Field(5).String(), "many "},
		{"null gives no string", pid.Field(8 + 1).String(), ""},
		{"null gives no text", pid.Field(9).Text(), ""},
		{"beyond the last field", pid.Field(40).String(), ""},
		{"field 0", pid.Field(0).String(), ""},
		{"absent repetition", pid.Field(3).Rep(7).Component(1).String(), ""},
		{"absent segment", m.Segment("ZZZ").Field(3).Rep(1).Component(4).Sub(2).String(), ""},
		{"text of an absent segment", m.Segment("ZZZ").Text(), ""},
		{"path", m.Get("PID-3.4.3"), "ISO"},
		{"path with occurrence and repetition", m.Get("PID-3[2].4") + m.Get("OBX[2]-3.2"), "YRed"},
		{"path to the whole", m.Get("PID-3"), "123"},
		{"path into nothing", m.Get("PID[2]-3"), ""},
		{"no path", m.Get("PID3"), ""},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
	if n := pid.Field(3).Len(); n != 2 {
		t.Errorf("PID-3 has %d repetitions", n)
	}
	if n := pid.Field(3).Rep(0).Components(); n != 5 {
		t.Errorf("PID-3 has %d components", n)
	}
	if n := pid.Field(3).Component(4).Subs(); n != 3 {
		t.Errorf("PID-3.4 has %d subcomponents", n)
	}
	if n := pid.Fields(); n != 9 {
		t.Errorf("PID has %d fields", n)
	}
	if n := msh.Fields(); n != 12 {
		t.Errorf("MSH has %d fields", n)
	}
	if s := obx[3]; s.Index() != 13 || s.Occurrence() != 4 || s.Name() != "OBX" {
		t.Errorf("last OBX is %s, segment %d, number %d", s.Name(), s.Index(), s.Occurrence())
	}
	var ids []string
	for r := range pid.Field(3).Reps() {
		ids = append(ids, r.Component(1).String())
	}
	if diff := cmp.Diff([]string{"123", "9"}, ids); diff != "" {
		t.Error(diff)
	}
}

func TestNullEmptyAndPresentAreToldApart(t *testing.T) {
	m := parse(t, "MSH|^~\\&|\rZZZ||\"\"|^^|\"\"^\"\"|x|^x|\"\"\"\"|~\"\"~y&")
	z := m.Segment("ZZZ")
	for n, want := range map[int]struct{ empty, null, present bool }{
		1: {true, false, false}, 2: {false, true, false}, 3: {false, false, false}, 4: {false, false, false},
		5: {false, false, true}, 6: {false, false, true}, 7: {false, false, true}, 8: {false, false, true}, 9: {true, false, false},
	} {
		f := z.Field(n)
		if f.Empty() != want.empty || f.Null() != want.null || f.Present() != want.present {
			t.Errorf("ZZZ-%d: empty %t, null %t, present %t; want %v", n, f.Empty(), f.Null(), f.Present(), want)
		}
	}
	if f := (Segment{}).Field(1); !f.Empty() || f.Null() || f.Present() || f.Len() != 0 {
		t.Error("a field that is not there is something")
	}
}

func TestDelimitersAreTheDeclaredOnes(t *testing.T) {
	for name, c := range map[string]struct {
		msh  string
		want Delimiters
	}{
		"usual":           {`MSH|^~\&|A`, Delimiters{'|', '^', '~', '\\', '&', 0}},
		"v2.7":            {`MSH|^~\&#|A`, Delimiters{'|', '^', '~', '\\', '&', '#'}},
		"exchanged":       {`MSH^~|\&^A`, Delimiters{'^', '~', '|', '\\', '&', 0}},
		"own":             {`MSH!@%*+!A`, Delimiters{'!', '@', '%', '*', '+', 0}},
		"no subcomponent": {`MSH|^~\|A`, Delimiters{'|', '^', '~', '\\', 0, 0}},
		"only components": {`MSH|^|A`, Delimiters{'|', '^', 0, 0, 0, 0}},
		"none":            {`MSH||A`, Delimiters{'|', 0, 0, 0, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			m := parse(t, c.msh)
			if m.Delimiters() != c.want {
				t.Errorf("%+v, want %+v", m.Delimiters(), c.want)
			}
			if got := m.Segment("MSH").Field(3).String(); got != "A" {
				t.Errorf("MSH-3 is %q", got)
			}
			if got := m.Segment("MSH").Field(2).Raw(); got != c.want.Encoding() {
				t.Errorf("MSH-2 is %q, want %q", got, c.want.Encoding())
			}
		})
	}
}

func TestUndeclaredDelimitersDoNotCut(t *testing.T) {
	f := parse(t, "MSH|^|A\rZZZ|a~b&c^d").Segment("ZZZ").Field(1)
	if f.Len() != 1 || f.Component(1).String() != "a~b&c" || f.Component(1).Subs() != 1 || f.Rep(1).Raw() != "" {
		t.Errorf("cut into %q", f.Component(1).String())
	}
}

func TestSegmentEnds(t *testing.T) {
	want := []string{"MSH|^~\\&|A", "PID|1", "PV1|1"}
	for name, s := range map[string]string{
		"CR":             "MSH|^~\\&|A\rPID|1\rPV1|1\r",
		"LF":             "MSH|^~\\&|A\nPID|1\nPV1|1\n",
		"CRLF":           "MSH|^~\\&|A\r\nPID|1\r\nPV1|1\r\n",
		"mixed":          "MSH|^~\\&|A\nPID|1\r\nPV1|1\r",
		"no last end":    "MSH|^~\\&|A\rPID|1\rPV1|1",
		"BOM":            bom + "MSH|^~\\&|A\rPID|1\rPV1|1\r",
		"BOM, CRLF":      bom + "\r\nMSH|^~\\&|A\r\nPID|1\r\nPV1|1",
		"blank lines":    "\r\n\nMSH|^~\\&|A\r\r\rPID|1\n\n\nPV1|1\r\r",
		"LF CR (turned)": "MSH|^~\\&|A\n\rPID|1\n\rPV1|1\n\r",
	} {
		t.Run(name, func(t *testing.T) {
			m := parse(t, s)
			var got []string
			for _, s := range m.Segments() {
				got = append(got, s.Text())
				if s.Broken() {
					t.Errorf("%s is broken", s.Name())
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if string(m.Bytes()) != s {
				t.Error("the bytes changed")
			}
		})
	}
}

func TestATextBrokenByLineEndsStaysWhole(t *testing.T) {
	m := parse(t, "MSH|^~\\&|A\rOBX|1|TX|N||first line\nsecond line\n\n|4th\rnot a segment|x\rNTE|1\r")
	obx := m.Segment("OBX")
	if got, want := obx.Field(5).Text(), "first line\nsecond line\n\n"; got != want {
		t.Errorf("OBX-5 is %q, want %q", got, want)
	}
	if got, want := obx.Field(6).Text(), "4th\rnot a segment"; got != want {
		t.Errorf("OBX-6 is %q, want %q", got, want)
	}
	if !obx.Broken() || m.Segment("NTE").Broken() || len(m.Segments()) != 3 {
		t.Errorf("%d segments, OBX broken: %t", len(m.Segments()), obx.Broken())
	}
}

func TestALineThatIsOnlyANameIsASegmentIfHL7HasIt(t *testing.T) {
	m := parse(t, "MSH|^~\\&|A\rOBX|1|TX|HIV||\nNEG\nsee\rPV2\r")
	if got := m.Segment("OBX").Field(5).Text(); got != "\nNEG\nsee" || !m.Segment("PV2").Exists() {
		t.Errorf("OBX-5 is %q, PV2 found: %t", got, m.Segment("PV2").Exists())
	}
}

func TestParseRefuses(t *testing.T) {
	long := "MSH|^~\\&|A\r"
	for name, c := range map[string]struct{ in, want string }{
		"nothing":              {"", "hl7: MSH: the message is empty"},
		"only blank lines":     {"\r\n\r\n", "hl7: MSH: the message is empty"},
		"only a BOM":           {bom, "hl7: MSH: the message is empty"},
		"text":                 {"hello", "hl7: MSH: the message does not begin with MSH"},
		"another segment":      {"PID|1\rMSH|^~\\&|", "hl7: MSH: the message does not begin with MSH"},
		"a batch":              {"BHS|^~\\&|\rMSH|^~\\&|A\rBTS|1", "hl7: MSH: a batch begins here, not a message"},
		"a file":               {"FHS|^~\\&|\rFTS", "hl7: MSH: a batch begins here, not a message"},
		"MSH alone":            {"MSH", "hl7: MSH-1 in segment 1: no field separator"},
		"MSH and an end":       {"MSH\rPID|1", "hl7: MSH-1 in segment 1: the field separator is a letter, digit, blank or control character"},
		"a word":               {"MSHA1|x", "hl7: MSH-1 in segment 1: the field separator is a letter, digit, blank or control character"},
		"blank separator":      {"MSH MSH:9", "hl7: MSH-1 in segment 1: the field separator is a letter, digit, blank or control character"},
		"quote separator":      {`MSH"^~\&"A`, "hl7: MSH-1 in segment 1: the field separator is a letter, digit, blank or control character"},
		"letters as delimiter": {"MSH|abcd|A", "hl7: MSH-1 in segment 1: an encoding character is a letter, digit, blank or control character"},
		"twice the same":       {"MSH|^^\\&|A", "hl7: MSH-1 in segment 1: an encoding character is declared twice"},
		"too many":             {"MSH|^~\\&#!|A", "hl7: MSH-1 in segment 1: more than five encoding characters"},
		"two messages":         {"MSH|^~\\&|A\rPID|1\rMSH|^~\\&|B\r", "hl7: MSH in segment 3: a second message begins here"},
		"too many bytes":       {long + strings.Repeat("x", 4000), "hl7: MSH: the message has more than 3000 bytes"},
		"too many segments":    {long + strings.Repeat("NTE\r", 60), "hl7: NTE in segment 51: the message has more than 50 segments"},
		"too many fields":      {long + "NTE" + strings.Repeat("|", 101), "hl7: NTE in segment 2: the segment has more than 100 fields"},
		"bad UTF-16":           {"\xff\xfeM\x00S\x00H\x00\x00\xd8", "hl7: MSH: not valid UTF-16LE"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Limits{Bytes: 3000, Segments: 50, Fields: 100}.Parse([]byte(c.in))
			var fe *FieldError
			if m != nil || !errors.As(err, &fe) || err.Error() != c.want {
				t.Errorf("%v, %v; want %s", m, err, c.want)
			}
		})
	}
}

func TestErrorsNameThePlaceAndNeverTheValue(t *testing.T) {
	m := parse(t, "MSH|^~\\&|A\rPID|||~secret^^^secret&secret\rOBX|1|NM|X||secret\rOBX|2|NM|X||1~secret")
	pid := m.Segment("PID")
	_, number := slices.Collect(m.All("OBX"))[1].Field(5).Rep(1).Number()
	_, simple := m.Segment("OBX").Field(5).Number()
	_, time := pid.Field(3).Rep(1).Component(4).Sub(2).Time()
	_, missing := pid.Field(5).Component(1).Require()
	_, segment := m.Require("PV1")
	for _, c := range []struct {
		err  error
		want string
	}{
		{number, "hl7: OBX-5[2] in segment 4: not a number"},
		{simple, "hl7: OBX-5 in segment 3: not a number"},
		{time, "hl7: PID-3[2].4.2 in segment 2: not a time: something other than digits"},
		{missing, "hl7: PID-5.1 in segment 2: missing"},
		{segment, "hl7: PV1: the message has no such segment"},
		{pid.Err(0, 0, "odd"), "hl7: PID in segment 2: odd"},
		{pid.Err(8, 0, "odd"), "hl7: PID-8 in segment 2: odd"},
		{Segment{}.Field(3).Err("odd"), "hl7: segment: odd"},
	} {
		if c.err == nil || c.err.Error() != c.want {
			t.Errorf("%v, want %s", c.err, c.want)
		}
	}
	var fe *FieldError
	if !errors.As(number, &fe) || fe.Occurrence != 2 || fe.Repetition != 2 || fe.Field != 5 {
		t.Errorf("%+v", fe)
	}
}

func TestMessagesPrintAsKindAndSize(t *testing.T) {
	m := parse(t, oru)
	want := fmt.Sprintf("hl7 message (13 segments, %d bytes)", len(oru))
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "m", m)
	if m.String() != want || fmt.Sprintf("%v", m) != want || !strings.Contains(log.String(), want) || strings.Contains(log.String(), "Brien") {
		t.Errorf("%s\n%s", m, log.String())
	}
}

func TestGroups(t *testing.T) {
	m := parse(t, oru)
	names := func(g Group) string {
		var b []string
		for _, s := range g {
			b = append(b, s.Name())
		}
		return strings.Join(b, " ")
	}
	var got []string
	got = append(got, names(m.Before("ORC", "OBR")))
	for _, order := range m.Groups("ORC OBR") {
		got = append(got, "order "+names(order))
		got = append(got, "of it "+names(order.Before("OBX", "SPM")))
		for _, g := range order.Groups("OBX", "SPM") {
			got = append(got, "  "+names(g))
		}
	}
	want := []string{
		"MSH PID NTE",
		"order ORC OBR NTE OBX NTE OBX", "of it ORC OBR NTE", "  OBX NTE", "  OBX",
		"order OBR OBX SPM OBX", "of it OBR", "  OBX", "  SPM", "  OBX",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if g := m.Groups("ZZZ"); g != nil {
		t.Errorf("groups of nothing: %v", g)
	}
	if g := m.Before("ZZZ"); len(g) != 13 {
		t.Errorf("before nothing: %d segments", len(g))
	}
	order := m.Groups("ORC OBR")[0]
	if order.Segment("OBR").Field(4).String() != "CBC" || order.Segment("SPM").Exists() || len(slices.Collect(order.All("NTE"))) != 2 {
		t.Error("the group's own accessors")
	}
}

func TestPaths(t *testing.T) {
	for s, want := range map[string]Path{
		"PID-3":          {"PID", 1, 3, 1, 0, 0},
		"PID-3.4":        {"PID", 1, 3, 1, 4, 0},
		"PID-3.4.1":      {"PID", 1, 3, 1, 4, 1},
		"OBX[2]-5[3].10": {"OBX", 2, 5, 3, 10, 0},
		"ZF1-1":          {"ZF1", 1, 1, 1, 0, 0},
	} {
		if got, err := ParsePath(s); err != nil || got != want {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "PID", "PID3", "-3", "PI-3", "PID-", "PID-0", "PID-x", "PID-3.", "PID-3.0", "PID-3.1.", "PID-3.1.1.1",
		"PID[]-3", "PID[0]-3", "PID[1-3", "PID-3[", "PID-3[x]", "1ID-3", "PIDX-3", "PID--3", "PID-+3", "PID-99999999999999999999"} {
		if p, err := ParsePath(s); err == nil {
			t.Errorf("%q is taken for %+v", s, p)
		}
	}
}

func TestTruncatedValuesAreTold(t *testing.T) {
	m := parse(t, "MSH|^~\\&#|A\rZZZ|abc#|ab\\P\\|a#b|x#^y")
	for n, want := range map[int]bool{1: true, 2: false, 3: false, 4: true, 9: false} {
		if got := m.Segment("ZZZ").Field(n).Truncated(); got != want {
			t.Errorf("ZZZ-%d: %t", n, got)
		}
	}
	if parse(t, "MSH|^~\\&|A#").Segment("MSH").Field(3).Truncated() {
		t.Error("truncated, without a truncation character")
	}
}

func TestRequireGivesTheValue(t *testing.T) {
	m := parse(t, oru)
	pid, err := m.Require("PID")
	if err != nil || pid.Message() != m {
		t.Fatal(err)
	}
	if s, err := pid.Field(5).Component(2).Require(); s != "Ann" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	if _, err := pid.Field(9).Require(); err == nil {
		t.Error("a null is a value")
	}
}
