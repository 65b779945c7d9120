package inbox_test

import (
	"strings"
	"testing"

	"firebreak/inbox"
)

// TestMasked: the shape of a message is seen, and nothing that is somebody's.
func TestMasked(t *testing.T) {
	const head = "MSH|^~\\&|LAB|A|GW|B|20260301||ORU^R01|7|P|2.5.1"
	for name, row := range map[string]struct {
		kind            inbox.Kind
		body, want, typ string
	}{
		"segments":                    {inbox.HL7v2, head + "|9||AL\rPID|1||12345^^^X||Łuk^Ann~B&C\r\rZZ1|a\\F\\b", head + "|9||xx\rPID|9||99999^^^x||xxx^xxx~x&x\r\rZZ1|x\\x\\x", "ORU^R01"},
		"line feeds":                  {inbox.HL7v2, head + "\r\nPID|1||Ann\nOBX|1", head + "\r\rPID|9||xxx\rOBX|9", "ORU^R01"},
		"other separators":            {inbox.HL7v2, "MSH#*~\\&#L#A#####ADT*A08*ADT_A01#7#P#2.4#Ann\rPID#1#Ann", "MSH#*~\\&#L#A#####ADT*A08*ADT_A01#7#P#2.4#xxx\rPID#9#xxx", "ADT^A08"},
		"a text broken by a line end": {inbox.HL7v2, head + "\rNTE|1||Dear\rANN SMITH\rSMI", head + "\rNTE|9||xxxx\rxxx xxxxx\rxxx", "ORU^R01"},
		"a second head":               {inbox.HL7v2, head + "\rMSH|^~\\&|Ann", head + "\rMSH|^~\\&|xxx", "ORU^R01"},
		"no line ends":                {inbox.HL7v2, head + "||||||||PID|1||Ann", head + "||||||||xxx|9||xxx", "ORU^R01"},
		"no message":                  {inbox.HL7v2, "Ann Smith, born 1970", "xxx xxxxx, xxxx 9999", string(inbox.HL7v2)},
		"not UTF-8":                   {inbox.HL7v2, head + "\rPID|1|M\xfcller", head + "\rPID|9|xxxxxx", "ORU^R01"},
		"digits of elsewhere":         {inbox.HL7v2, head + "\rPID|١٢|七", head + "\rPID|99|x", "ORU^R01"},
		"a push":                      {inbox.FHIR, `{"resourceType":"Patient","id":"1"}`, `{"xxxxxxxxxxxx":"xxxxxxx","xx":"9"}`, string(inbox.FHIR)},
		"a type that is none":         {inbox.HL7v2, "MSH|^~\\&|L|A|||||Ann Smith|7", "MSH|^~\\&|L|A|||||Ann Smith|7", string(inbox.HL7v2)},
	} {
		m := inbox.Message{Kind: row.kind, Body: []byte(row.body)}
		if got := m.Masked(); got != row.want {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, row.want)
		}
		if m.Type() != row.typ {
			t.Errorf("%s: type %q, want %q", name, m.Type(), row.typ)
		}
	}
}

// FuzzMasked: whatever comes, only the head of the first line keeps letters and
// digits besides the names of segments, and no line is lost.
func FuzzMasked(f *testing.F) {
	f.Add([]byte("MSH|^~\\&|L|A|||||ADT^A08|7|P|2.4|||\rPID|1||Ann\n"))
	f.Add([]byte("\ufeff\nMSH"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := inbox.Message{Kind: inbox.HL7v2, Body: b}
		_ = m.Type()
		lines := strings.Split(m.Masked(), "\r")
		for i, line := range lines {
			rest := line
			if len(rest) >= 3 {
				rest = rest[3:]
			}
			if !strings.HasPrefix(strings.TrimPrefix(line, "\ufeff"), "MSH") && strings.ContainsFunc(rest, func(r rune) bool {
				return r >= 0x80 || r > 'x' && r <= 'z' || r >= 'a' && r < 'x' || r >= 'A' && r <= 'Z' || r >= '0' && r < '9'
			}) {
				t.Errorf("line %d holds %q of %q", i, line, b)
			}
		}
	})
}
