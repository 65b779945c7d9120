package conformance_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"firebreak/adapters/hl7"
)

// One press on a chart opens an app with its patient, and with the visit that is
// under way; the launch counts once, for that app and that session alone.
func (a *apps) fromAChart(t *testing.T) {
	a.t = t
	a.newBrowser()
	page, _, _ := a.walk(http.MethodGet, a.base+"/sign-in", nil)
	page, _ = a.submit(page, "/idp/login", url.Values{"username": {"physician"}, "password": {a.word}})
	if strings.Contains(page, `action="/worksite"`) {
		a.submit(page, "/worksite", url.Values{"worksite": {"harbour"}})
	}
	const number = "778899"
	tell := func(trigger, id string) {
		t.Helper()
		number, prior := number, ""
		if trigger == "A45" { // the visit was another's
			number, prior = "778800", "MRG|"+number+"^^^GENERAL^MR||||V"+id+"\r"
		}
		text := "MSH|^~\\&|ADT|GENERAL|GW|CITY|20260301080000||ADT^" + trigger + "|launch-" + id + "|P|2.5.1\rPID|1||" + number + "^^^GENERAL^MR||Oak^Olga||19600203|F\r" + prior +
			"PV1|1|I|W1||||||||||||||||V" + id + "|||||||||||||||||||||||||20260301080000\r"
		answer, err := (&hl7.Client{Addr: a.demo.Info.MLLP}).Send(t.Context(), []byte(text))
		if err == nil {
			err = answer.Err()
		}
		if err == nil {
			err = a.demo.Gateway.Idle(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	tell("A01", "1")
	page, _, _ = a.walk(http.MethodPost, a.base+"/find", url.Values{"number": {number}})
	chart := regexp.MustCompile(`href="(/p/[^"/]+)"`).FindStringSubmatch(page)
	if chart == nil {
		t.Fatalf("nobody is found:\n%s", page)
	}
	page, _, _ = a.walk(http.MethodGet, a.base+chart[1]+"/apps", nil)
	if !strings.Contains(page, "Round") || strings.Contains(page, "Shots") || strings.Contains(page, "Growth Chart") {
		t.Errorf("the apps that are offered:\n%s", page)
	}
	if !strings.HasSuffix(a.last.Get("Content-Security-Policy"), " https://app.test") {
		t.Errorf("forms may go to %s", a.last.Get("Content-Security-Policy"))
	}
	press := func() string {
		t.Helper()
		_, out := a.submit(page, chart[1]+"/apps", url.Values{"app": {"round"}})
		if out == nil || out.Path != "/launch" || out.Query().Get("of") != "app" || out.Query().Get("iss") != a.base+"/fhir" || len(out.Query().Get("launch")) < 32 {
			t.Fatalf("the app is opened at %v", out)
		}
		return out.Query().Get("launch")
	}
	asks := func(client, launch string) url.Values {
		q := a.asks(client, "launch openid fhirUser patient/*.rs offline_access")
		q.Set("launch", launch)
		return q
	}
	if _, _, status := a.walk(http.MethodPost, a.base+chart[1]+"/apps", url.Values{"app": {"shots"}}); status != http.StatusNotFound {
		t.Errorf("another role's app: %d", status)
	}

	launch := press()
	if _, out, _ := a.walk(http.MethodGet, a.base+"/oauth/authorize?"+asks("public", launch).Encode(), nil); out == nil || out.Query().Get("error") != "invalid_request" {
		t.Errorf("another app's launch: %v", out)
	}
	consent, _, _ := a.walk(http.MethodGet, a.base+"/oauth/authorize?"+asks("round", launch).Encode(), nil)
	back := a.allows(consent, "")
	status, got := a.exchange(back.Get("code"), url.Values{"client_id": {"round"}})
	if status != http.StatusOK || got["scope"] != "launch openid fhirUser patient/*.rs offline_access" || got["need_patient_banner"] != true || got["intent"] != "ward-round" {
		t.Fatalf("%d %v", status, got)
	}
	if status, body := a.read(got["access_token"], "/Patient?_summary=count"); status != http.StatusOK || !strings.Contains(body, `"total":1`) {
		t.Errorf("it reads %d %s", status, body)
	}
	launched := got["patient"]
	if status, body := a.read(got["access_token"], "/Patient/"+got["patient"].(string)); status != http.StatusOK || !strings.Contains(body, number) {
		t.Errorf("the patient of the chart is %d", status)
	}
	if status, body := a.read(got["access_token"], fmt.Sprint("/Encounter/", got["encounter"])); status != http.StatusOK || !strings.Contains(body, `"in-progress"`) {
		t.Errorf("the visit %v is %d", got["encounter"], status)
	}
	status, again := a.post("/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}, "client_id": {"round"}})
	if _, given := again["encounter"]; status != http.StatusOK || again["patient"] != got["patient"] || given {
		t.Errorf("refreshed: %d %v", status, again)
	}
	if _, out, _ := a.walk(http.MethodGet, a.base+"/oauth/authorize?"+asks("round", launch).Encode(), nil); out == nil || out.Query().Get("error") != "invalid_request" {
		t.Errorf("the launch once more: %v", out)
	}

	asked, _, _ := a.walk(http.MethodGet, a.base+"/oauth/authorize?"+asks("round", press()).Encode(), nil)
	tell("A45", "1")
	back = a.allows(asked, "")
	if status, got := a.exchange(back.Get("code"), url.Values{"client_id": {"round"}}); status != http.StatusOK || got["patient"] != launched || got["encounter"] != nil {
		t.Errorf("with a visit that the person sees no more: %d, %v", status, got["encounter"])
	}
	tell("A01", "2")
	tell("A01", "3")
	back = a.allows(func() string {
		page, _, _ := a.walk(http.MethodGet, a.base+"/oauth/authorize?"+asks("round", press()).Encode(), nil)
		request := regexp.MustCompile(`name="request" value="([^"]+)"`).FindStringSubmatch(page)[1]
		found, _, _ := a.walk(http.MethodPost, a.base+"/apps/patient", url.Values{"request": {request}, "number": {ayan}}) // another patient, put under the launch
		page, _ = a.submit(found, "/apps/patient/choose", nil)
		return page
	}(), "")
	if status, got := a.exchange(back.Get("code"), url.Values{"client_id": {"round"}}); status != http.StatusOK || got["encounter"] != nil || got["patient"] != launched {
		t.Errorf("with two visits under way: %d, %v", status, got["encounter"])
	}

	launch = press()
	other := &apps{t: t, base: a.base, word: a.word}
	other.newBrowser()
	page, _, _ = other.walk(http.MethodGet, a.base+"/oauth/authorize?"+asks("round", launch).Encode(), nil)
	page, _ = other.submit(page, "/idp/login", url.Values{"username": {"physician"}, "password": {a.word}})
	if strings.Contains(page, `action="/worksite"`) {
		page, _ = other.submit(page, "/worksite", url.Values{"worksite": {"harbour"}})
	}
	if strings.Contains(page, `action="/apps/consent"`) || !strings.Contains(page, "That request has ended") {
		t.Errorf("another session is asked:\n%s", page)
	}
}
