package proof_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// An app is let in by requests that lead to one another. A question at one of
// these pages is asked with those before it and followed to the token, and its
// answer is all of theirs: what the pages say, where the browser goes, and the
// patient and the visit that the token brings.

// waiting stands in a form for the request of an app that waits there.
const waiting = "waiting"

// way is a browser on its way through an app's request.
type way struct {
	door
	q      question // who asks, and when
	cookie string
	told   bytes.Buffer
}

// next is one more request of the way, with a random source of its own.
func (w *way) next(method, target string, form url.Values) answer {
	q := w.q
	w.q.seed++
	q.seed, q.method, q.target, q.form, q.header = w.q.seed, method, target, form.Encode(), http.Header{}
	if w.cookie != "" {
		q.header.Set("Cookie", w.cookie)
	}
	a := w.request(q)
	if set := a.header.Get("Set-Cookie"); set != "" {
		w.cookie, _, _ = strings.Cut(set, ";")
	}
	if target != "/oauth/token" {
		w.told.WriteString(a.String())
	}
	return a
}

const verifier = "a verifier of forty-three characters or more"

// arrive is the app's request, standalone or with a launch, and gives its name in forms.
func (w *way) arrive(launch string) string {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {"https://app.test/"}, "aud": {base + "/fhir"}, "state": {"s"},
		"scope":          {"launch/patient openid fhirUser patient/*.rs offline_access"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	if launch != "" {
		q.Set("launch", launch)
		q.Set("scope", "launch openid fhirUser patient/*.rs offline_access")
	}
	w.next(http.MethodGet, "/oauth/authorize?"+q.Encode(), nil)
	_, request, _ := strings.Cut(w.cookie, "=")
	return request
}

// allow lets the app in, if there is somebody to let it in for, and tells what
// its tokens bring, at once and after a refresh.
func (w *way) allow(request string) {
	if page := w.next(http.MethodGet, "/apps/consent", nil); !bytes.Contains(page.body, []byte(`value="allow"`)) {
		return
	}
	a := w.next(http.MethodPost, "/apps/consent", url.Values{"request": {request}, "answer": {"allow"}, "scope": {"openid", "fhirUser", "patient/*.rs", "offline_access"}})
	back, err := url.Parse(a.header.Get("Location"))
	if err != nil || back.Query().Get("code") == "" {
		return
	}
	token := w.token(url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {"https://app.test/"}, "code_verifier": {verifier}})
	if next, _ := token["refresh_token"].(string); next != "" {
		w.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {next}})
	}
}

// token is what the app is told; of the ID token what it says, for it is signed by chance.
func (w *way) token(form url.Values) map[string]any {
	form.Set("client_id", "app")
	a := w.next(http.MethodPost, "/oauth/token", form)
	var got map[string]any
	if a.status != http.StatusOK || json.Unmarshal(a.body, &got) != nil {
		w.told.WriteString(a.String())
		return nil
	}
	all := maps.Clone(got)
	if parts := strings.Split(got["id_token"].(string), "."); len(parts) == 3 {
		claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
		all["id_token"] = string(claims)
	}
	b, _ := json.Marshal(all)
	w.told.Write(b)
	return got
}

var chosen = regexp.MustCompile(`name="patient" value="([^"]+)"`)

// ask is one request and all that it leads to, for the answers are one answer in parts.
func (d door) ask(q question) answer {
	w := &way{door: d, q: q}
	w.q.seed++
	request := ""
	if strings.Contains(q.form, "request="+waiting) {
		request = w.arrive("")
		q.form = strings.Replace(q.form, waiting, url.QueryEscape(request), 1)
		q.header = nil
	}
	a := d.request(q)
	to := a.header.Get("Location")
	switch launched, _ := url.Parse(to); {
	case a.header.Get("Content-Location") != "":
		return d.exported(q, a)
	case strings.HasPrefix(to, "https://app.test/launch?"):
		w.allow(w.arrive(launched.Query().Get("launch")))
	case request != "" && to == "/apps/consent":
		w.allow(request)
	case request != "":
		if m := chosen.FindSubmatch(a.body); m != nil {
			w.next(http.MethodPost, "/apps/patient/choose", url.Values{"request": {request}, "patient": {string(m[1])}})
			w.allow(request)
		}
	}
	a.body = append(a.body, w.told.Bytes()...)
	return a
}

// patientOfApp looks for a person where an app asks for one.
func (g *asker) patientOfApp(who *audience) question {
	q := g.person(who)
	form, _ := url.ParseQuery(q.form)
	form.Set("request", waiting)
	return question{method: http.MethodPost, target: "/apps/patient", form: form.Encode()}
}

// choosesOfApp takes a patient by a handle that stands in the address of a page, where an app asks for one.
func (g *asker) choosesOfApp(who *audience) question {
	parts := strings.Split(g.word(func(w *words) []string { return w.pages[who.name] }, "/p/none")+"//", "/")
	handle, _, _ := strings.Cut(parts[2], "?")
	return question{method: http.MethodPost, target: "/apps/patient/choose", form: url.Values{"request": {waiting}, "patient": {handle}}.Encode()}
}

// launches lets an app in for some people of the world, from their charts and from
// where an app asks for a patient.
func (x *trial) launches() {
	i := slices.IndexFunc(x.asker.asks, (*audience).pages)
	if i < 0 {
		return
	}
	who := x.asker.asks[i]
	ask := func(target string, form url.Values) {
		if x.failure == nil {
			x.compare(x.rules[0], question{who: who, method: http.MethodPost, target: target, form: form.Encode(), at: x.now, seed: x.asker.Uint64()}, len(x.world.events)-1)
		}
	}
	for i, p := range x.world.people {
		if i < 3 || p.hidden {
			ask("/find", url.Values{"number": {p.number}})
			ask("/apps/patient", url.Values{"request": {waiting}, "number": {p.number}})
		}
	}
	for _, chart := range charts(x.asker.found.pages[who.name]) {
		ask(chart+"/apps", url.Values{"app": {"app"}})
	}
}

// TestAppsAreLetIn: the ways that are followed end with a token for the patient,
// with the visit that is under way where one is, and with none for whoever is not shown.
func TestAppsAreLetIn(t *testing.T) {
	t.Parallel()
	var patients, visits, chosen, refused int
	for seed := range uint64(3) {
		w := create(seed, 0)
		h := open(t, "")
		for _, e := range w.events {
			if m, ok := e.message(with); ok {
				if err := h.tell(m); err != nil {
					t.Fatal(err)
				}
			}
		}
		rules := policies(t)
		for i, p := range w.people {
			who := audiences(t, p.id())[len(audiences(t, p.id()))-3]
			q := question{who: who, method: http.MethodPost, at: noon, seed: uint64(i) << 8}
			ask := func(d door, target string, form url.Values) string {
				q.seed += 16
				q.target, q.form = target, form.Encode()
				a := d.ask(q)
				return a.header.Get("Location") + "\n" + string(a.body)
			}
			shown, whole := h.under(t, rules[0]), h.under(t, rules[len(rules)-1])
			got := ask(shown, "/apps/patient", url.Values{"request": {waiting}, "number": {p.number}})
			if strings.Contains(got, `"patient":"`+p.id()) {
				chosen++
			}
			made := ask(whole, "/find", url.Values{"number": {p.number}})
			page := searchMade.FindString(made)
			q.method = http.MethodGet
			found := ask(whole, page, nil)
			q.method = http.MethodPost
			handle := regexp.MustCompile(`href="(/p/[^"/]+)"`).FindStringSubmatch(found)
			if handle == nil {
				continue
			}
			got = ask(shown, handle[1]+"/apps", url.Values{"app": {"app"}})
			if p.hidden {
				refused++
				got += ask(shown, "/apps/patient/choose", url.Values{"request": {waiting}, "patient": {strings.TrimPrefix(handle[1], "/p/")}})
				if strings.Contains(got, `"patient":"`+p.id()) {
					t.Errorf("seed %d: a token for somebody who is not shown", seed)
				}
			}
			if strings.Count(got, `"patient":"`+p.id()+`"`) == 2 { // at once, and refreshed
				patients++
			}
			if strings.Count(got, `"encounter":"`) == 1 {
				visits++
			}
		}
		if err := h.close(); err != nil {
			t.Error(err)
		}
	}
	if patients == 0 || visits == 0 || visits == patients || chosen == 0 || refused == 0 {
		t.Errorf("%d launches with a patient, %d of them with a visit; %d patients chosen; %d tried who are not shown", patients, visits, chosen, refused)
	}
}
