package pipeline

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"firebreak/inbox"
	"firebreak/internal/corpus"
	"firebreak/mapping"
)

// What a French sender masks to professionals is as if it had never come, with
// all that its message brought along; without the flag it is shown.
func TestMaskedToProfessionals(t *testing.T) {
	for _, kind := range []string{"ORU", "MDM"} {
		for _, flag := range []string{"N", "Y"} {
			text, err := os.ReadFile(corpus.Dir(t, "corpus/hl7v2/ansforge-fr/Volets/TRANS_DOC_CDA_HL7V2/V1.2", kind+"/message.hl7"))
			must(t, err)
			said := strings.NewReplacer("\r\n", "\r", "\n", "\r", "Masqué aux professionnels de Santé||N|", "Masqué aux professionnels de Santé||"+flag+"|").Replace(string(text))
			if !strings.Contains(said, "||"+flag+"|") {
				t.Fatal("there is no such flag")
			}
			pid := said[strings.Index(said, "\rPID"):]
			pid = pid[:1+strings.Index(pid[1:], "\r")]
			s := start(t, t.TempDir()+"/record.db", nil)
			put := func(n int, body string) inbox.Message {
				m := inbox.Message{Source: "lab", Kind: inbox.HL7v2, ControlID: fmt.Sprint(n), Received: time.Date(2026, 1, 2, 3, 4, n, 0, time.UTC), Body: []byte(body)}
				s.put(t, m)
				return m
			}
			m := put(1, "MSH|^~\\&|LAB|A|||202601020304||ADT^A08|1|P|2.5|||||FRA|UNICODE UTF-8"+pid+"\r")
			chart, err := mapping.PatientKey(mapping.NewKeys([]byte("keys of this test")), m)
			must(t, err)
			before := dump(s.chart(t, chart))
			put(2, said)
			after := dump(s.chart(t, chart))
			if shown := before != after; shown != (flag == "N") {
				t.Errorf("%s with %s: something is shown: %v\n%s", kind, flag, shown, after)
			}
		}
	}
}
