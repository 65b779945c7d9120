package mapping_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firebreak/adapters/rest"
	"firebreak/inbox"
	"firebreak/mapping"
)

func sendKeys() *mapping.Keys {
	return mapping.NewKeys([]byte("a secret of the tests"), mapping.Feed{Source: "ehr", Send: &mapping.Send{From: []string{"portal"}, Types: []string{"Communication"}}}, mapping.Feed{Source: "lab"})
}

// Only who may, what may and with what the receiver needs is addressed.
func TestAddressing(t *testing.T) {
	const who = `"subject":{"reference":"Patient/p1","identifier":{"system":"urn:mrn","value":"N1"}}`
	tag := func(feed string) string {
		return `"meta":{"tag":[{"system":"urn:other","code":"lab"},{"system":"urn:firebreak:send","code":"` + feed + `"}]}`
	}
	const not = "mapping: Communication.meta.tag: this source sends no such resource there"
	const nobody = "mapping: Communication.meta.tag: no reference to the patient has an identifier that the receiver knows"
	for name, c := range map[string]struct {
		source, typ, rest string
		to                []string
		err               string
	}{
		"as allowed":              {"portal", "Communication", tag("ehr") + "," + who, []string{"ehr"}, ""},
		"not addressed":           {"portal", "Communication", who, nil, ""},
		"another source":          {"clinic", "Communication", tag("ehr") + "," + who, nil, not},
		"another type":            {"portal", "Task", tag("ehr") + "," + who, nil, "mapping: Task.meta.tag: this source sends no such resource there"},
		"a feed that takes none":  {"portal", "Communication", tag("lab") + "," + who, nil, not},
		"no such feed":            {"portal", "Communication", tag("nowhere") + "," + who, nil, not},
		"a patient without one":   {"portal", "Communication", tag("ehr") + `,"subject":{"reference":"Patient/p1"}`, nil, nobody},
		"nobody":                  {"portal", "Communication", tag("ehr"), nil, nobody},
		"two patients":            {"portal", "Communication", tag("ehr") + "," + who + `,"sender":{"type":"Patient","identifier":{"value":"N2"}}`, nil, "mapping: Communication.meta.tag: more than one patient is named"},
		"one and one unknown":     {"portal", "Communication", tag("ehr") + "," + who + `,"sender":{"reference":"Patient/p2"}`, nil, "mapping: Communication.meta.tag: more than one patient is named"},
		"the same named in short": {"portal", "Communication", tag("ehr") + "," + who + `,"sender":{"reference":"Patient/p1"}`, []string{"ehr"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			body := `{"resourceType":"` + c.typ + `","id":"c1",` + c.rest + `}`
			m := inbox.Message{Source: c.source, Kind: inbox.FHIR, Received: time.Unix(0, 0), Body: rest.Interaction{Method: "PUT", Path: c.typ + "/c1", Resource: []byte(body)}.Encode()}
			r, err := mapping.Map(sendKeys(), m)
			said := ""
			if err != nil {
				said = err.Error()
			}
			if said != c.err {
				t.Fatalf("it says %q", said)
			}
			if err == nil {
				if diff := cmp.Diff(c.to, r.Resources[0].To); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// A number of ours in what a receiver sends is an answer; from others it is a number.
func TestAnswersNameTheRequest(t *testing.T) {
	const siu = "MSH|^~\\&|S|F|||20260301120000||SIU^S12|1|P|2.5.1\rSCH|abcdefghijklmnop^FIREBREAK|F77^EHR||||||||||||||||||||||||Booked\rPID|1||N1^^^EHR^MR\r"
	for source, want := range map[string][]string{"ehr": {"abcdefghijklmnop"}, "lab": nil} {
		r, err := mapping.Map(sendKeys(), inbox.Message{Source: source, Kind: inbox.HL7v2, Received: time.Unix(0, 0), Body: []byte(siu)})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range r.Resources {
			got = append(got, x.Answers...)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", source, diff)
		}
	}
}

// A request is of the patient of its chart, and goes where our own pages may send.
func TestRequests(t *testing.T) {
	const chart = "aaaaaaaaaaaaaaaa"
	keys := mapping.NewKeys([]byte("a secret of the tests"), mapping.Feed{Source: "ehr", Send: &mapping.Send{From: []string{inbox.Own}, Types: []string{"Communication"}}},
		mapping.Feed{Source: "west", Send: &mapping.Send{From: []string{"portal"}, Types: []string{"Communication"}}})
	message := func(rest string) string { return `{"resourceType":"Communication","status":"completed",` + rest + `}` }
	who := message(`"subject":{"reference":"Patient/` + chart + `","identifier":{"value":"N1"}}`)
	for name, c := range map[string]struct {
		source string
		q      inbox.Request
		err    string
	}{
		"as it should be":     {inbox.Own, inbox.Request{Name: "n", Chart: chart, To: "ehr", Resource: []byte(who)}, ""},
		"by a feed":           {"ehr", inbox.Request{Name: "n", Chart: chart, To: "ehr", Resource: []byte(who)}, "mapping: Request: not written by this gateway"},
		"without a name":      {inbox.Own, inbox.Request{Chart: chart, To: "ehr", Resource: []byte(who)}, "mapping: Request.chart: not a name and a chart"},
		"to where it may not": {inbox.Own, inbox.Request{Name: "n", Chart: chart, To: "west", Resource: []byte(who)}, "mapping: Request.to: this source sends no such resource there"},
		"of another patient":  {inbox.Own, inbox.Request{Name: "n", Chart: "bbbbbbbbbbbbbbbb", To: "ehr", Resource: []byte(who)}, "mapping: Request.resource: not of the patient of the chart, and of nobody else"},
		"without a number":    {inbox.Own, inbox.Request{Name: "n", Chart: chart, To: "ehr", Resource: []byte(message(`"subject":{"reference":"Patient/` + chart + `"}`))}, "mapping: Request.to: no reference to the patient has an identifier that the receiver knows"},
		"no resource":         {inbox.Own, inbox.Request{Name: "n", Chart: chart, To: "ehr", Resource: []byte(`7`)}, "mapping: Request.resource: not a valid resource"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := c.q.Message("r", "jane", time.Unix(0, 0))
			if err != nil {
				t.Fatal(err)
			}
			m.Source = c.source
			r, err := mapping.Map(keys, m)
			said := ""
			if err != nil {
				said = err.Error()
			}
			if said != c.err {
				t.Fatalf("it says %q", said)
			}
			if err == nil && (r.Resources[0].ID() != keys.ID(chart, inbox.Own, "Communication", "n") || r.Resources[0].Chart != chart || r.Resources[0].To[0] != "ehr") {
				t.Errorf("it becomes %+v", r.Resources[0])
			}
		})
	}
}
