package fhirapi_test

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"

	"firebreak/access/accesstest"
	"firebreak/audit"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.backend(), patientX)
	good := w.physician()
	for name, c := range map[string]struct {
		header string
		status int
		www    string
	}{
		"none":                  {"", 401, "Bearer"},
		"good":                  {"Bearer " + good, 200, ""},
		"lower case":            {"bearer " + good, 200, ""},
		"another scheme":        {"Basic " + good, 401, "Bearer"},
		"no token":              {"Bearer ", 401, "Bearer"},
		"nonsense":              {"Bearer x.y.z", 401, `Bearer error="invalid_token"`},
		"cut short":             {"Bearer " + good[:len(good)-4], 401, `Bearer error="invalid_token"`},
		"expired":               {"Bearer " + accesstest.Token(t, map[string]any{"sub": "physician", "client_id": "app", "scope": "user/*.rs", "exp": accesstest.Now.Unix()}), 401, `Bearer error="invalid_token"`},
		"for another API":       {"Bearer " + accesstest.Token(t, map[string]any{"sub": "physician", "client_id": "app", "scope": "user/*.rs", "aud": "https://other.test/fhir"}), 401, `Bearer error="invalid_token"`},
		"by another issuer":     {"Bearer " + accesstest.Token(t, map[string]any{"sub": "physician", "client_id": "app", "scope": "user/*.rs", "iss": "https://other.test"}), 401, `Bearer error="invalid_token"`},
		"somebody unknown":      {"Bearer " + person(t, "stranger", "user/*.rs", ""), 403, ""},
		"an operator":           {"Bearer " + person(t, "operator", "user/*.rs", ""), 403, ""},
		"a client in user's":    {"Bearer " + client(t, "ehr", "user/*.rs"), 403, `Bearer error="insufficient_scope"`},
		"a person in system's":  {"Bearer " + person(t, "physician", "system/*.rs", ""), 403, `Bearer error="insufficient_scope"`},
		"scopes with a query":   {"Bearer " + person(t, "physician", "user/Patient.rs?name=x", ""), 403, `Bearer error="insufficient_scope"`},
		"no clinical scope":     {"Bearer " + person(t, "physician", "openid profile", ""), 403, `Bearer error="insufficient_scope"`},
		"patient's, no context": {"Bearer " + person(t, "physician", "patient/*.rs", ""), 403, `Bearer error="insufficient_scope"`},
	} {
		var headers []string
		if c.header != "" {
			headers = []string{"Authorization: " + c.header}
		}
		for _, path := range []string{"/Patient/x", "/Patient?_id=x", "/Patient/x/_history"} {
			got := w.do(ask{method: http.MethodGet, path: path, headers: headers})
			if got.Code != c.status || got.Header().Get("WWW-Authenticate") != c.www {
				t.Errorf("%s: %s: %d, %q; want %d, %q", name, path, got.Code, got.Header().Get("WWW-Authenticate"), c.status, c.www)
			}
			if c.status != 200 && bytes.Contains(got.body, []byte("Oak")) {
				t.Errorf("%s: shown", name)
			}
		}
	}
	// An address that is none tells strangers nothing.
	w.do(ask{method: http.MethodGet, path: "/no/such/address"}).want(t, 401)
}

// Each interaction needs its letter, for its type (SMART App Launch 2.2.0).
func TestScopesByInteraction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.backend(), patientX)
	w.put(w.backend(), sodium)
	vid := strings.Trim(w.get(w.backend(), "/Observation/na").Header().Get("ETag"), `W/"`)
	requests := map[string][]ask{
		"r": {
			{method: http.MethodGet, path: "/Observation/na"},
			{method: http.MethodHead, path: "/Observation/na"},
			{method: http.MethodGet, path: "/Observation/na/_history"},
			{method: http.MethodGet, path: "/Observation/na/_history/" + vid},
		},
		"s": {
			{method: http.MethodGet, path: "/Observation?patient=x"},
			{method: http.MethodPost, path: "/Observation/_search", body: "patient=x", headers: []string{"Content-Type: application/x-www-form-urlencoded"}},
		},
		"c": {
			{method: http.MethodPost, path: "/Observation", body: sodium},
			{method: http.MethodPost, path: "", body: bundle("transaction", "POST Observation||"+sodium)},
		},
		"u": {
			{method: http.MethodPut, path: "/Observation/na", body: sodium},
			{method: http.MethodPost, path: "", body: bundle("transaction", "PUT Observation/na||"+sodium)},
		},
		"d": {
			{method: http.MethodDelete, path: "/Observation/none"},
			{method: http.MethodPost, path: "", body: bundle("transaction", "DELETE Observation/none")},
		},
	}
	for _, context := range []string{"user", "system"} {
		for _, typ := range []string{"*", "Observation", "Condition"} {
			for _, letter := range []string{"c", "r", "u", "d", "s"} {
				token := client(t, "ehr", context+"/"+typ+"."+letter)
				if context == "user" {
					token = person(t, "physician", context+"/"+typ+"."+letter, "")
				}
				for needs, all := range requests {
					for _, a := range all {
						a.token = token
						got := w.do(a)
						writes := strings.Contains("cud", needs)
						switch {
						case context == "user" && writes:
							if got.Code != http.StatusMethodNotAllowed { // people never write (CC-32)
								t.Errorf("user: %s %s: %d", a.method, a.path, got.Code)
							}
						case needs == letter && typ != "Condition":
							if got.Code >= 300 {
								t.Errorf("%s/%s.%s: %s %s: %d %s", context, typ, letter, a.method, a.path, got.Code, got.body)
							}
							if letter != "r" && letter != "s" && bytes.Contains(got.body, []byte("140.0")) {
								t.Errorf("%s/%s.%s: %s %s reads", context, typ, letter, a.method, a.path)
							}
						case got.Code != http.StatusForbidden:
							t.Errorf("%s/%s.%s: %s %s: %d", context, typ, letter, a.method, a.path, got.Code)
						}
					}
				}
			}
		}
	}
}

// A token for one patient reads that patient's record and nothing beside it.
func TestPatientTokenIsConfined(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ehr := w.backend()
	w.put(ehr, patientX)
	w.put(ehr, sodium)
	w.put(ehr, strings.ReplaceAll(strings.ReplaceAll(patientX, `"x"`, `"y"`), "Oak", "Elm"))
	w.put(ehr, strings.ReplaceAll(strings.ReplaceAll(sodium, `"na"`, `"na2"`), "Patient/x", "Patient/y"))
	w.put(ehr, `{"resourceType":"Practitioner","id":"dr","name":[{"family":"Good"}]}`)
	w.put(ehr, `{"resourceType":"Practitioner","id":"dr2","name":[{"family":"Other"}]}`)
	w.put(ehr, strings.Replace(sodium, `"subject"`, `"performer":[{"reference":"Practitioner/dr"}],"subject"`, 1))
	token := person(t, "physician", "patient/*.rs", "x")
	for path, status := range map[string]int{
		"/Patient/x": 200, "/Observation/na": 200, "/Observation/na/_history": 200, "/Practitioner/dr": 200,
		"/Patient/y": 404, "/Observation/na2": 404, "/Observation/na2/_history": 404, "/Practitioner/dr2": 404,
	} {
		w.get(token, path).want(t, status)
	}
	for query, want := range map[string]string{
		"/Patient":          "Patient/x",
		"/Patient?_id=y":    "",
		"/Patient?_id=x,y":  "Patient/x",
		"/Patient?name=elm": "",
		"/Patient?_has:Observation:patient:_id=na2": "",
		"/Observation":                                      "Observation/na",
		"/Observation?patient=y":                            "",
		"/Observation?patient=x,y":                          "Observation/na",
		"/Observation?_id=na2":                              "",
		"/Observation?patient.name=elm":                     "",
		"/Observation?subject=Patient/x&_include=*":         "Observation/na Patient/x Practitioner/dr",
		"/Practitioner":                                     "Practitioner/dr",
		"/Practitioner?_revinclude=Observation:performer":   "Practitioner/dr Observation/na",
		"/Observation?_summary=count&patient=y":             "",
		"/Observation?_sort=-date&_total=accurate&_count=5": "Observation/na",
	} {
		got := w.get(token, query).want(t, 200)
		if ids := strings.Join(got.ids(t, ""), " "); ids != want {
			t.Errorf("%s finds %s, want %s", query, ids, want)
		}
		if total := got.total(t); want == "" && total != "0" {
			t.Errorf("%s counts %s", query, total)
		}
	}
	w.get(person(t, "physician", "patient/Observation.rs", "x"), "/Patient/x").want(t, 403)
	// Only what the scopes name is included.
	got := w.get(person(t, "physician", "patient/Observation.rs", "x"), "/Observation?_include=*").want(t, 200)
	if ids := strings.Join(got.ids(t, ""), " "); ids != "Observation/na" {
		t.Errorf("included beyond the scopes: %s", ids)
	}
	// A context that is no patient, or not one that can be seen.
	for _, patient := range []string{"none", "na", "../x"} {
		w.get(person(t, "physician", "patient/*.rs", patient), "/Patient/x").want(t, 404)
		got := w.get(person(t, "physician", "patient/*.rs", patient), "/Observation").want(t, 200)
		if got.total(t) != "0" {
			t.Errorf("%s: %s", patient, got.body)
		}
	}
}

func TestMethodsAreSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.backend(), patientX)
	for path, want := range map[string][2]string{ // for a person, for a source; "" is 404
		"/Patient":               {"OPTIONS, GET, HEAD", "OPTIONS, GET, HEAD, POST, PUT, PATCH, DELETE"},
		"/Patient/x":             {"OPTIONS, GET, HEAD", "OPTIONS, GET, HEAD, PUT, PATCH, DELETE"},
		"/Patient/none":          {"OPTIONS, GET, HEAD", "OPTIONS, GET, HEAD, PUT, PATCH, DELETE"},
		"/Patient/x/_history":    {"OPTIONS, GET, HEAD", "OPTIONS, GET, HEAD"},
		"/Patient/x/_history/1":  {"OPTIONS, GET, HEAD", "OPTIONS, GET, HEAD"},
		"/Patient/_search":       {"OPTIONS, POST", "OPTIONS, POST"},
		"/_search":               {"OPTIONS, POST", "OPTIONS, POST"},
		"":                       {"OPTIONS, GET, HEAD, POST", "OPTIONS, GET, HEAD, POST"},
		"/":                      {"OPTIONS, GET, HEAD, POST", "OPTIONS, GET, HEAD, POST"},
		"/metadata":              {"OPTIONS, GET, HEAD", "OPTIONS, GET, HEAD"},
		"/Patient/_history":      {"OPTIONS, GET, HEAD", "OPTIONS, GET, HEAD"},
		"/_history":              {"OPTIONS, GET, HEAD", "OPTIONS, GET, HEAD"},
		"/Patient/$everything":   {"", ""},
		"/Patient/x/$everything": {"OPTIONS, GET, HEAD, POST", "OPTIONS, GET, HEAD, POST"},
		"/Patient/x/Observation": {"OPTIONS, GET, HEAD", "OPTIONS, GET, HEAD"},
		"/Patient/x/*":           {"OPTIONS, GET, HEAD", "OPTIONS, GET, HEAD"},
		"/Patient/x/*/_search":   {"OPTIONS, POST", "OPTIONS, POST"},
		"/Location/x/Encounter":  {"", ""},
		"/Patient/":              {"", ""},
		"/Patient/x/":            {"", ""},
		"/patient/x":             {"", ""},
		"/Sample/x":              {"", ""},
		"/Sample":                {"", ""},
		"/Patient/x_y":           {"", ""},
		"//Patient/x":            {"", ""},
		"/./Patient/x":           {"", ""},
		"/../fhir/Patient/x":     {"", ""},
	} {
		for i, token := range []string{w.physician(), w.backend()} {
			got := w.do(ask{method: "QUERY", path: path, token: token, body: `{}`})
			if want[i] == "" {
				got.want(t, 404)
			} else if got.want(t, 405); got.Header().Get("Allow") != want[i] {
				t.Errorf("%s allows %q, want %q", path, got.Header().Get("Allow"), want[i])
			}
		}
	}
	// Whether something is there makes no difference to who may not write.
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPost, "QUERY"} {
		here, none := w.do(ask{method: method, path: "/Patient/x", token: w.physician(), body: patientX}), w.do(ask{method: method, path: "/Patient/none", token: w.physician(), body: patientX})
		if here.want(t, 405); !bytes.Equal(here.body, none.body) || here.Header().Get("Allow") != none.Header().Get("Allow") {
			t.Errorf("%s tells what is there", method)
		}
	}
}

// Apps of any origin may ask what they may send, without a token.
func TestPreflight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"", "/", "/metadata", "/Patient", "/Patient/x", "/Patient/_search", "/no/such/address"} {
		got := w.do(ask{method: http.MethodOptions, path: path, headers: []string{"Origin: https://app.example", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization"}}).want(t, 204)
		h := got.Header()
		if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %v", path, h)
		}
		for _, name := range []string{"Authorization", "Content-Type", "If-None-Match", "Prefer"} {
			if !slices.Contains(strings.Split(h.Get("Access-Control-Allow-Headers"), ", "), name) {
				t.Errorf("%s: %s may not be sent", path, name)
			}
		}
	}
	got := w.get(w.physician(), "/Patient/none", "Origin: https://app.example").want(t, 404)
	for _, name := range []string{"ETag", "Last-Modified", "Location", "X-Request-Id"} {
		if !strings.Contains(got.Header().Get("Access-Control-Expose-Headers"), name) {
			t.Errorf("%s cannot be read by an app", name)
		}
	}
}

// Every answer has its entry in the audit log, and so has every refusal.
func TestEverythingIsWrittenDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.backend(), patientX)
	w.put(w.backend(), sodium)
	vid := strings.Trim(w.get(w.backend(), "/Observation/na").Header().Get("ETag"), `W/"`)
	patient := person(t, "physician", "patient/*.rs", "x")
	for _, c := range []struct {
		ask
		action  audit.Action
		refused bool
	}{
		{ask{method: http.MethodGet, path: "/Observation/na", token: w.physician()}, audit.Read, false},
		{ask{method: http.MethodGet, path: "/Observation/na", token: patient}, audit.Read, false},
		{ask{method: http.MethodGet, path: "/Observation/na", token: w.physician(), headers: []string{"If-None-Match: *"}}, audit.Read, false},
		{ask{method: http.MethodGet, path: "/Observation/none", token: w.physician()}, audit.Read, true},
		{ask{method: http.MethodGet, path: "/Observation/none", token: patient}, audit.Read, true},
		{ask{method: http.MethodGet, path: "/Observation/na/_history/" + vid, token: w.physician()}, audit.VRead, false},
		{ask{method: http.MethodGet, path: "/Observation/na/_history", token: patient}, audit.HistoryA, false},
		{ask{method: http.MethodGet, path: "/Observation?patient=x&code=2951-2", token: w.physician()}, audit.Search, false},
		{ask{method: http.MethodGet, path: "/Observation?code=2951-2", token: w.physician()}, audit.Search, true},
		{ask{method: http.MethodGet, path: "/Observation/na", token: person(t, "physician", "user/Patient.rs", "")}, audit.Read, true},
		{ask{method: http.MethodPut, path: "/Observation/na", token: w.physician(), body: sodium}, audit.Write, true},
		{ask{method: http.MethodGet, path: "/Observation/na", token: "nonsense"}, audit.SignIn, true},
		{ask{method: http.MethodGet, path: "/Observation/na", token: person(t, "operator", "user/*.rs", "")}, audit.SignIn, true},
	} {
		before := len(w.events())
		got := w.do(c.ask)
		var mine []map[string]any
		for _, e := range w.events()[before:] {
			if e["request"] == got.Header().Get("X-Request-Id") {
				mine = append(mine, e)
			}
		}
		if len(mine) == 0 {
			t.Errorf("%s %s: no entry", c.method, c.path)
			continue
		}
		last := mine[len(mine)-1]
		if refused, _ := last["refused"].(bool); refused != c.refused || !strings.HasPrefix(string(c.action), strings.Split(last["action"].(string), "-")[0]) && last["action"] != string(c.action) && !c.refused {
			t.Errorf("%s %s: %v", c.method, c.path, last)
		}
		if text := strings.ToLower(string(marshal(t, mine))); strings.Contains(text, "2951-2") || strings.Contains(text, "oak") {
			t.Errorf("%s %s: values in the log: %s", c.method, c.path, text)
		}
		if c.action == audit.Search && !c.refused && !strings.Contains(last["detail"].(string), "code,patient") {
			t.Errorf("the search's parameters are not named: %v", last)
		}
	}
}

// A scope for one patient beside a scope for all: nothing is told of what others have,
// not by what asks through them either.
func TestOnePatientsScopeTellsNothingOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.backend(), patientX)
	w.put(w.backend(), sodium)
	w.put(w.backend(), strings.NewReplacer(`"x"`, `"y"`, "Oak", "Elm").Replace(patientX))
	w.put(w.backend(), strings.NewReplacer(`"na"`, `"nb"`, "Patient/x", "Patient/y").Replace(sodium))
	for token, want := range map[string][]string{
		person(t, "physician", "user/Patient.rs user/Observation.rs", ""):        {"Patient/x", "Patient/y"},
		person(t, "physician", "user/Patient.rs patient/Observation.rs", "x"):    {"Patient/x"},
		person(t, "physician", "user/*.rs patient/Observation.rs", "x"):          {"Patient/x", "Patient/y"},
		person(t, "physician", "patient/Patient.rs patient/Observation.rs", "x"): {"Patient/x"},
	} {
		got := []string{}
		for _, id := range []string{"x", "y"} {
			got = append(got, w.get(token, "/Patient?_id="+id+"&_has:Observation:patient:code=2951-2").want(t, 200).ids(t, "match")...)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	both := person(t, "physician", "user/Patient.rs patient/Observation.rs", "x")
	w.get(both, "/Patient/y").want(t, 200)
	w.get(both, "/Observation/na").want(t, 200)
	w.get(both, "/Observation/nb").want(t, 404)
}
