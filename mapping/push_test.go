package mapping

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"firebreak/adapters/rest"
	"firebreak/inbox"
)

func interaction(i rest.Interaction) inbox.Message {
	return inbox.Message{Source: "ehr", Kind: inbox.FHIR, Received: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC), Body: i.Encode()}
}

func TestPushKeepsBytesAndIds(t *testing.T) {
	k := NewKeys([]byte("0123456789abcdef"))
	body := []byte(`{"resourceType":"Observation","id":"o-1","status":"final","subject":{"reference":"Patient/p1"},"valueQuantity":{"value":200.00}}`)
	r, err := Map(k, interaction(rest.Interaction{Method: http.MethodPut, Path: "Observation/o-1", Resource: body}))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Resources) != 1 || !bytes.Equal(r.Resources[0].JSON(), body) || r.Resources[0].Chart != "p1" || !r.Resources[0].Given {
		t.Errorf("got %+v", r)
	}
}

func TestPushWithoutPatientGoesToTheSourcesDirectory(t *testing.T) {
	k := NewKeys([]byte("0123456789abcdef"))
	put := func(source string) string {
		m := interaction(rest.Interaction{Method: http.MethodPut, Path: "Organization/o", Resource: []byte(`{"resourceType":"Organization","id":"o","name":"A"}`)})
		m.Source = source
		r, err := Map(k, m)
		if err != nil {
			t.Fatal(err)
		}
		return r.Resources[0].Chart
	}
	if put("a") != put("a") || put("a") == put("b") {
		t.Error("a directory must be one for each source")
	}
}

func TestTransactionResolvesReferences(t *testing.T) {
	k := NewKeys([]byte("0123456789abcdef"))
	bundle := `{"resourceType":"Bundle","type":"transaction","entry":[
		{"fullUrl":"urn:uuid:2","resource":{"resourceType":"Observation","subject":{"reference":"urn:uuid:1"},"performer":[{"reference":"urn:uuid:3"}]},"request":{"method":"POST","url":"Observation"}},
		{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}},
		{"fullUrl":"urn:uuid:3","resource":{"resourceType":"Practitioner","id":"d"},"request":{"method":"PUT","url":"Practitioner/d"}}]}`
	r, err := Map(k, interaction(rest.Interaction{Method: http.MethodPost, Resource: []byte(bundle), Assigned: []string{"obs", "pat", ""}}))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(r.Resources[0].JSON()); !strings.Contains(got, `"reference":"Patient/pat"`) || !strings.Contains(got, `"reference":"Practitioner/d"`) {
		t.Error(got)
	}
	for _, x := range r.Resources {
		if x.Chart != "pat" {
			t.Errorf("%s went to chart %q: all of one patient's Bundle belongs together", x.Type(), x.Chart)
		}
	}
}

func TestPushIsHeldWithItsPlace(t *testing.T) {
	k := NewKeys([]byte("0123456789abcdef"))
	for name, c := range map[string]struct {
		i     rest.Interaction
		place string
	}{
		"a type that is none":       {rest.Interaction{Method: http.MethodPut, Path: "Sample/1", Resource: []byte(`{"resourceType":"Sample","id":"1"}`)}, "Sample"},
		"another type than it says": {rest.Interaction{Method: http.MethodPut, Path: "Group/1", Resource: []byte(`{"resourceType":"List","id":"1"}`)}, "Group.resourceType"},
		"a dangling urn": {rest.Interaction{Method: http.MethodPost, Assigned: []string{"x"}, Resource: []byte(
			`{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Observation","subject":{"reference":"urn:uuid:9"}},"request":{"method":"POST","url":"Observation"}}]}`)}, "Bundle.entry[0].resource"},
		"a conditional reference": {rest.Interaction{Method: http.MethodPost, Assigned: []string{"x"}, Resource: []byte(
			`{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Observation","subject":{"reference":"Patient?identifier=1"}},"request":{"method":"POST","url":"Observation"}}]}`)}, "Bundle.entry[0].resource"},
	} {
		_, err := Map(k, interaction(c.i))
		var e *Error
		if !errors.As(err, &e) || e.Segment != c.place {
			t.Errorf("%s: got %v, want the place %s", name, err, c.place)
		}
	}
}
