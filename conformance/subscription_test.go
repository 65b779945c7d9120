package conformance_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// told waits for the next notice at the app's own server.
func (a *apps) told() string {
	a.t.Helper()
	select {
	case body := <-a.hook:
		return body
	case <-time.After(30 * time.Second):
		a.t.Fatal("nothing was told")
	}
	return ""
}

// subscriber is an app that has itself told of what its person may see, the person
// having said yes to that: of a result, and not of one that is withheld.
func (a *apps) subscriber(t *testing.T) {
	a.t = t
	backend := a.system("system/*.cruds")
	kept := map[string]string{}
	a.claimed(claim{ask: "POST Patient", head: fhirJSON, body: patient("W-1", "Watson"), want: 201, says: []string{`Location: .*/Patient/([^/]+)/`}, keep: "P"}, backend, kept)
	a.newBrowser()
	page := a.signsIn(a.asks("quiet", "user/*.rs user/Subscription.cruds offline_access"))
	if !strings.Contains(page, "Have itself told") {
		t.Errorf("the page does not ask whether it may be told:\n%s", page)
	}
	_, got := a.exchange(a.allows(page, "").Get("code"), nil, "quiet", appSecret)
	person := fmt.Sprint(got["access_token"])
	wish := func(endpoint string) string {
		return `{"resourceType":"Subscription","status":"requested","reason":"new results","criteria":"Observation?patient=$P","channel":{"type":"rest-hook","endpoint":"` + endpoint +
			`","header":["Authorization: Bearer of-the-app"],"payload":"application/fhir+json","_payload":{"extension":[{"url":"http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-payload-content","valueCode":"full-resource"}]}}}`
	}
	a.claimed(claim{ask: "POST Subscription", head: fhirJSON, body: wish(a.hooked + "/"), want: 422, says: []string{"Subscription.channel.endpoint"}}, person, kept)
	a.claimed(claim{ask: "POST Subscription", head: fhirJSON, body: wish(a.hooked), want: 201, says: []string{`Location: .*/Subscription/([^/\n]+)`, `"status":"requested"`}, not: "of-the-app", keep: "O"}, person, kept)
	for _, code := range []string{"56888-1", "2951-2"} { // the first is of HIV
		body := strings.ReplaceAll(sodium("W-"+code, "2026-05-01", "139"), "2951-2", code)
		a.claimed(claim{ask: "POST Observation", head: fhirJSON, body: body, want: 201, says: []string{`Location: .*/Observation/([^/]+)/`}, keep: "V"}, backend, kept)
	}
	if first := a.told(); !strings.Contains(first, `"valueCode":"handshake"`) {
		t.Errorf("first told %s", first)
	}
	notice := a.told()
	if events := regexp.MustCompile(`"event-number","valueString":"(\d+)"`).FindAllString(notice, -1); len(events) != 1 || !strings.Contains(notice, "Observation/"+kept["V"]) || strings.Contains(notice, "56888-1") {
		t.Errorf("told %s", notice)
	}
	a.claimed(claim{ask: "GET Subscription/$O", want: 200, says: []string{`"status":"active"`}, not: "of-the-app"}, person, kept)
	a.claimed(claim{ask: "POST Subscription/$O/$events", head: fhirJSON, body: `{"resourceType":"Parameters","parameter":[{"name":"content","valueCode":"id-only"}]}`, want: 200, says: []string{`"query-event"`, `Observation/` + kept["V"]}}, person, kept)
	a.claimed(claim{ask: "POST Subscription/$O/$status", head: fhirJSON, body: `{"resourceType":"Parameters"}`, want: 200, says: []string{`"query-status"`}}, person, kept)
	a.claimed(claim{ask: "GET Subscription/$O/$events?content=id-only", want: 200, says: []string{`"query-event"`, `Observation/` + kept["V"]}}, person, kept)
	a.claimed(claim{ask: "GET Subscription/$O", want: 404}, backend, kept)
	a.claimed(claim{ask: "DELETE Subscription/$O", want: http.StatusNoContent}, person, kept)
	a.claimed(claim{ask: "GET Subscription/$O", want: 404}, person, kept)
}
