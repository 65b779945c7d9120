package fhirapi_test

import (
	"net/http"
	"strings"
	"testing"
)

// Where no address may be told, no Subscription is taken, in no way, and none of these
// ways is announced; what would not be done is not stored as if it were.
func TestNobodySubscribes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := `{"resourceType":"Subscription","id":"s","status":"requested","reason":"new results","criteria":"Observation?code=1","channel":{"type":"rest-hook","endpoint":"https://ehr.test/hook"}}`
	for _, a := range []ask{
		post("", "/Subscription", s),
		post("", "/Subscription", s, "If-None-Exist: _id=none"),
		{method: http.MethodPut, path: "/Subscription/s", body: s},
		{method: http.MethodPut, path: "/Subscription?_id=s", body: s},
		post("", "", bundle("transaction", "POST Subscription||"+s)),
		post("", "", bundle("transaction", "PUT Observation/na||"+sodium, "PUT Subscription/s||"+s)),
	} {
		a.token = w.backend()
		if got := w.do(a); got.Code != http.StatusUnprocessableEntity || got.resource(t).Root().At("issue.code").Text() != "not-supported" {
			t.Errorf("%s %s: %d %s", a.method, a.path, got.Code, got.body)
		}
	}
	batch := w.do(post(w.backend(), "", bundle("batch", "PUT Subscription/s||"+s))).want(t, 200).resource(t)
	if status := texts(batch, "entry.response.status"); len(status) != 1 || !strings.HasPrefix(status[0], "422") {
		t.Errorf("a batch: %v", status)
	}
	w.get(w.backend(), "/Subscription/s").want(t, 404)
	w.get(w.backend(), "/Observation/na").want(t, 404) // what came along in the transaction
	for r := range w.get("", "/metadata").want(t, 200).resource(t).All("rest.resource") {
		if r.Get("type").Is("Subscription") {
			if got := strings.Join(texts2(r, "interaction.code"), " "); got != "read vread history-instance history-type search-type delete" {
				t.Errorf("announced: %s", got)
			}
		}
	}
}
