package fhirapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/auth"
	"firebreak/auth/smart"
	"firebreak/fhir"
	"firebreak/fhir/r4def"
	"firebreak/fhirapi"
	"firebreak/notify"
	"firebreak/policy"
)

// subscriber is a client's own server, which is told, and the grid it is told on.
type subscriber struct {
	*world
	teller *notify.Teller
	server *httptest.Server
	token  string
	gone   error // why nobody is admitted any more

	mu     sync.Mutex
	got    []told
	answer func(http.ResponseWriter, told) // nil: 204
}

// told is one POST to it.
type told struct {
	header http.Header
	body   string
}

const (
	minute = time.Minute
	nurse  = "mailto:nurse@clinic.test"
)

// mail is told as if by POST.
func (s *subscriber) mail(_ context.Context, to, _, subject, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, told{http.Header{"To": {to}, "Subject": {subject}}, text})
	return nil
}

// newSubscriber is a world in which one address may be told.
func newSubscriber(t *testing.T) *subscriber {
	t.Helper()
	s := &subscriber{}
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.got = append(s.got, told{r.Header, string(b)})
		if s.answer != nil {
			s.answer(w, s.got[len(s.got)-1])
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(s.server.Close)
	w := newWorld(t)
	w.now.Store(w.clock().Truncate(minute).UnixNano())
	w.subscribing = &fhirapi.Subscribing{To: []string{s.hook(), nurse}, Every: minute}
	s.world = w.under(policy.Demo())
	s.token = client(t, "app/reader", "system/*.cruds")
	s.start()
	return s
}

func (s *subscriber) hook() string { return s.server.URL + "/hook" }

// start is a process that begins to tell.
func (s *subscriber) start() {
	s.teller = &notify.Teller{
		Reader: s.reader, Admit: s.admit, To: []string{s.hook(), nurse}, Mail: s.mail, Every: minute, Base: base, Now: s.clock, Log: slog.New(slog.DiscardHandler),
	}
}

func (s *subscriber) admit(ctx context.Context, st auth.Standing) (access.Caller, error) {
	if s.gone != nil {
		return access.Caller{}, s.gone
	}
	id, err := smart.Standing(ctx, nil, st, accesstest.Now)
	if err != nil {
		return access.Caller{}, err
	}
	return door{}.Token(ctx, id)
}

// rounds lets the grid come to so many moments, and gives what was told at each.
func (s *subscriber) rounds(n int) (all []told) {
	s.t.Helper()
	for range n {
		s.later(minute)
		must(s.t, s.teller.Tell(s.t.Context(), s.clock()))
		must(s.t, s.teller.Look(s.t.Context(), s.clock()))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all, s.got = s.got, nil
	return all
}

// wish is a Subscription to the hook: criteria, payload content, and what else stands
// in its channel.
func (s *subscriber) wish(criteria, content, more string) string {
	payload := ""
	if content != "" {
		payload = `,"payload":"application/fhir+json","_payload":{"extension":[{"url":"http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-payload-content","valueCode":"` + content + `"}]}`
	}
	return `{"resourceType":"Subscription","status":"requested","reason":"new results","criteria":` + criteria + `,"channel":{"type":"rest-hook","endpoint":"` + s.hook() + `"` + payload + more + `}}`
}

func (s *subscriber) subscribe(wish string) (id string) {
	s.t.Helper()
	got := s.do(post(s.token, "/Subscription", wish)).want(s.t, 201).resource(s.t)
	if got.Get("status").Text() != "requested" || got.Get("channel").Get("header").Text() != "" {
		s.t.Errorf("taken: %s", got.JSON())
	}
	return got.ID()
}

func (s *subscriber) status(id string) string {
	s.t.Helper()
	return s.get(s.token, "/Subscription/"+id).want(s.t, 200).resource(s.t).Get("status").Text()
}

// event says what a notice tells: kind, number so far, and each event's number and focus.
func event(t *testing.T, b told) string {
	t.Helper()
	r, err := fhir.Parse([]byte(b.body))
	must(t, err)
	for _, p := range r4def.Check(r) {
		t.Errorf("%s in %s", p, b.body)
	}
	var out []string
	n := 0
	for e := range r.All("entry") {
		if n++; n > 1 {
			out = append(out, "with "+strings.TrimPrefix(e.Get("fullUrl").Text(), base+"/"))
			continue
		}
		for p := range e.Get("resource").All("parameter") {
			switch p.Get("name").Text() {
			case "type":
				out = append(out, p.Get("valueCode").Text())
			case "events-since-subscription-start":
				out = append(out, p.Get("valueString").Text())
			case "notification-event":
				said := ""
				for x := range p.All("part") {
					switch x.Get("name").Text() {
					case "event-number":
						said = "#" + x.Get("valueString").Text()
					case "focus":
						said += "=" + strings.TrimPrefix(x.At("valueReference.reference").Text(), base+"/")
					}
				}
				out = append(out, said)
			}
		}
	}
	return strings.Join(out, " ")
}

func (s *subscriber) want(got []told, want ...string) {
	s.t.Helper()
	var all []string
	for _, b := range got {
		if b.body == "" {
			all = append(all, "bare")
		} else {
			all = append(all, event(s.t.(*testing.T), b))
		}
	}
	if !slices.Equal(all, want) {
		s.t.Errorf("told %q, want %q", all, want)
	}
}

func observation(id, code string) string {
	return `{"resourceType":"Observation","id":"` + id + `","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"` + code + `"}]},"subject":{"reference":"Patient/x"},"effectiveDateTime":"2026-11-01","valueQuantity":{"value":1}}`
}

const hiv = "56888-1"

// A subscriber is told, one round after it could be seen, of what is new in what it may
// see; of what is withheld never, and no number tells that it came. What is released
// late is told when it is released.
func TestSubscriber(t *testing.T) {
	t.Parallel()
	s := newSubscriber(t)
	ehr := s.backend()
	s.put(ehr, patientX)
	s.put(ehr, observation("old", "2951-2"))
	id := s.subscribe(s.wish(`"Observation?patient=x"`, "id-only", `,"header":["Authorization: Bearer hush"],"extension":[{"url":"http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-heartbeat-period","valueUnsignedInt":300}]`))
	got := s.rounds(1)
	s.want(got, "handshake 0")
	if got[0].header.Get("Authorization") != "Bearer hush" || got[0].header.Get("Content-Type") != "application/fhir+json" {
		t.Errorf("sent with %v", got[0].header)
	}
	if s.status(id) != "active" {
		t.Error("it is not active after its handshake")
	}
	s.want(s.rounds(2))
	s.put(ehr, observation("new", "2951-2"))
	s.put(ehr, observation("secret", hiv))
	s.want(s.rounds(1))
	s.want(s.rounds(1), "event-notification 1 #1=Observation/new")
	s.put(ehr, observation("secret", hiv)+" ")
	s.put(ehr, strings.Replace(observation("secret", hiv), `"value":1`, `"value":2`, 1))
	s.want(s.rounds(4))
	s.want(s.rounds(2), "heartbeat 1")
	s.put(ehr, strings.Replace(observation("new", "2951-2"), `"value":1`, `"value":2`, 1))
	s.want(s.rounds(2), "event-notification 2 #2=Observation/new")
	events := s.get(s.token, "/Subscription/"+id+"/$events?content=full-resource").want(t, 200)
	s.want([]told{{body: string(events.body)}}, "query-event 2 #1=Observation/new #2=Observation/new with Observation/new")
	if state := s.get(s.token, "/Subscription/"+id+"/$status").want(t, 200); !strings.Contains(string(state.body), `"query-status"`) || strings.Contains(string(state.body), "hush") {
		t.Errorf("$status: %s", state.body)
	}
	if got := s.do(post(s.token, "/Subscription/"+id+"/$events", `{"resourceType":"Parameters","parameter":[{"name":"content","valueCode":"full-resource"}]}`)).want(t, 200); !bytes.Equal(got.body, events.body) {
		t.Errorf("$events by POST: %s, by GET %s", got.body, events.body)
	}
	for path, body := range map[string]string{"/Subscription/" + id + "/$status": "", "/Subscription/$status": `{"resourceType":"Parameters","parameter":[{"name":"id","valueId":"` + id + `"}]}`} {
		if got := s.do(post(s.token, path, body)).want(t, 200); got.total(t) != "1" || !strings.Contains(string(got.body), id) {
			t.Errorf("%s by POST: %s", path, got.body)
		}
	}
	if !slices.Equal(s.get(s.token, "/Subscription?status=active").want(t, 200).ids(t, "match"), []string{"Subscription/" + id}) {
		t.Error("a search for what is active does not find it")
	}
	for _, other := range []string{ehr, client(t, "app2/reader", "system/*.cruds")} {
		s.get(other, "/Subscription/"+id).want(t, 404)
		s.get(other, "/Subscription/"+id+"/$events").want(t, 404)
		if ids := s.get(other, "/Subscription").want(t, 200).ids(t, "match"); len(ids) > 0 {
			t.Errorf("another finds %v", ids)
		}
		s.do(ask{method: http.MethodDelete, path: "/Subscription/" + id, token: other}).want(t, 204)
	}
	open, err := policy.Load(openPolicy(t))
	must(t, err)
	s.reader.Use(open)
	s.want(s.rounds(2), "event-notification 3 #3=Observation/secret")
	s.do(ask{method: http.MethodDelete, path: "/Subscription/" + id, token: s.token}).want(t, 204)
	s.get(s.token, "/Subscription/"+id).want(t, 404)
	s.put(ehr, observation("newer", "2951-2"))
	s.want(s.rounds(3))
}

// Each content of a notice, and what a client asks for: R4's bare one, nothing,
// references, whole resources, so many at a time, of a topic with filters.
func TestNotices(t *testing.T) {
	t.Parallel()
	s := newSubscriber(t)
	s.put(s.backend(), patientX)
	topic := fmt.Sprintf(`"%s/SubscriptionTopic/patient-data-change","_criteria":{"extension":[{"url":"http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-filter-criteria","valueString":"Observation?patient=Patient/x"},{"url":"http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-filter-criteria","valueString":"Observation?code=2951-2"},{"url":"http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-filter-criteria","valueString":"Patient?_id=x&identifier=urn:mrn|1"}]}`, base)
	const two = `,"extension":[{"url":"http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-max-count","valuePositiveInt":2}]`
	rows := []struct {
		name, wish string
		want       []string
	}{
		{"bare", s.wish(`"Observation?patient=x"`, "", ""), []string{"bare"}},
		{"empty", s.wish(`"Observation?patient=x"`, "empty", ""), []string{"handshake 0", "event-notification 3 #1 #2 #3"}},
		{"whole", s.wish(`"Observation?patient=x&code=1"`, "full-resource", ""), []string{"handshake 0", "event-notification 2 #1=Observation/whole-a #2=Observation/whole-b with Observation/whole-a with Observation/whole-b"}},
		{"two-at-a-time", s.wish(`"Observation?patient=x"`, "id-only", two), []string{"handshake 0", "event-notification 2 #1=Observation/two-at-a-time-a #2=Observation/two-at-a-time-b", "event-notification 3 #3=Observation/two-at-a-time-c"}},
		{"topic", s.wish(topic, "id-only", ""), []string{"handshake 0", "event-notification 1 #1=Observation/topic-c"}},
	}
	for _, row := range rows {
		id := s.subscribe(row.wish)
		for at, code := range map[string]string{"a": "1", "b": "1", "c": "2951-2"} {
			s.put(s.backend(), observation(row.name+"-"+at, code))
		}
		first := s.rounds(1)
		s.want(append(first, s.rounds(2)...), row.want...)
		s.do(ask{method: http.MethodDelete, path: "/Subscription/" + id, token: s.token}).want(t, 204)
	}
	w := s.get("", "/metadata").want(t, 200).resource(t)
	for _, p := range r4def.Check(w) {
		t.Error(p)
	}
	for r := range w.All("rest.resource") {
		if r.Get("type").Is("Subscription") {
			if got := strings.Join(texts2(r, "interaction.code"), " "); got != "read search-type create update delete" {
				t.Errorf("announced: %s", got)
			}
			if got := strings.Join(texts2(r, "operation.name"), " "); got != "validate status events" {
				t.Errorf("operations announced: %s", got)
			}
			for p := range r.All("searchParam") {
				if name := p.Get("name").Text(); !strings.HasPrefix(name, "_") {
					s.get(s.token, "/Subscription?"+name+"=x").want(t, 200)
				}
			}
		}
	}
}

// What cannot be done is refused with its place, and the address is one of those
// allowed, letter by letter.
func TestNotSubscribed(t *testing.T) {
	t.Parallel()
	s := newSubscriber(t)
	good := s.wish(`"Observation?patient=x"`, "id-only", "")
	for name, row := range map[string]struct {
		body   string
		status int
		place  string
	}{
		"another address":             {strings.Replace(good, "/hook", "/hook/", 1), 422, "Subscription.channel.endpoint"},
		"another channel":             {strings.Replace(good, "rest-hook", "websocket", 1), 422, "Subscription.channel.type"},
		"a hook by mail":              {strings.Replace(good, "rest-hook", "email", 1), 422, "Subscription.channel.endpoint"},
		"mail to a stranger":          {byMail("mailto:other@clinic.test", ""), 422, "Subscription.channel.endpoint"},
		"a payload by mail":           {byMail(nurse, `,"payload":"application/fhir+json"`), 422, "Subscription.channel.payload"},
		"a header by mail":            {byMail(nurse, `,"header":["Bcc: x"]`), 422, "Subscription.channel.header"},
		"another payload":             {strings.Replace(good, "application/fhir+json", "application/fhir+xml", 1), 422, "Subscription.channel.payload"},
		"no content":                  {strings.Replace(good, "id-only", "all", 1), 422, "Subscription.channel.payload"},
		"everybody":                   {strings.Replace(good, "?patient=x", "?code=1", 1), 422, "Subscription.criteria"},
		"too many":                    {strings.Replace(good, "patient=x", "patient=x"+strings.Repeat(",y", 100)+many(101), 1), 422, "Subscription.criteria"},
		"no search":                   {strings.Replace(good, "Observation?patient=x", "Observation", 1), 422, "Subscription.criteria"},
		"how it is shown":             {strings.Replace(good, "?patient=x", "?patient=x&_count=1", 1), 422, "Subscription.criteria"},
		"another topic":               {strings.Replace(good, "Observation?patient=x", "http://topic.test/a", 1), 422, "Subscription.criteria"},
		"a header that HTTP needs":    {strings.Replace(good, `"endpoint"`, `"header":["Host: x"],"endpoint"`, 1), 422, "Subscription.channel.header"},
		"a header of two lines":       {strings.Replace(good, `"endpoint"`, `"header":["A: x\r\nB: y"],"endpoint"`, 1), 422, "Subscription.channel.header"},
		"it is over":                  {strings.Replace(good, `"reason"`, `"end":"2020-01-01T00:00:00Z","reason"`, 1), 422, "Subscription.end"},
		"it says that it is in error": {strings.Replace(good, "requested", "error", 1), 422, "Subscription.status"},
	} {
		got := s.do(post(s.token, "/Subscription", row.body))
		if got.Code != row.status || got.place(t) != row.place {
			t.Errorf("%s: %d at %q: %s", name, got.Code, got.place(t), got.body)
		}
	}
	s.do(post(client(t, "app/reader", "system/*.rs"), "/Subscription", good)).want(t, 403)
	s.do(post(client(t, "app/reader", "system/Subscription.c"), "/Subscription", good)).want(t, 403) // of what it may not read
	s.do(post(person(t, "physician", "user/*.cruds", ""), "/Subscription", good)).want(t, 403)       // by a token that nobody here takes back
	s.do(ask{method: http.MethodPut, path: "/Subscription/mine", token: s.token, body: strings.Replace(good, `"status"`, `"id":"mine","status"`, 1)}).want(t, 404)
	s.do(post(s.backend(), "", bundle("transaction", "POST Subscription||"+good))).want(t, 422)
	for range 20 {
		s.subscribe(good)
	}
	s.do(post(s.token, "/Subscription", good)).want(t, 429)
}

func byMail(to, more string) string {
	return `{"resourceType":"Subscription","status":"requested","reason":"new results","criteria":"Observation?patient=x","channel":{"type":"email","endpoint":"` + to + `"` + more + `}}`
}

// A mail says that something is new, not of whom nor what.
func TestToldByMail(t *testing.T) {
	t.Parallel()
	s := newSubscriber(t)
	s.put(s.backend(), patientX)
	id := s.subscribe(byMail(nurse, ""))
	if got := s.rounds(2); len(got) > 0 || s.status(id) != "active" {
		t.Errorf("told %v before anything is new", got)
	}
	s.put(s.backend(), observation("secret", hiv))
	if got := s.rounds(2); len(got) > 0 {
		t.Errorf("told %v of what is withheld", got)
	}
	s.put(s.backend(), observation("new", "2951-2"))
	got := s.rounds(2)
	if len(got) != 1 || got[0].header.Get("To") != "nurse@clinic.test" || !strings.Contains(got[0].body, "/Subscription/"+id+"/$events") || strings.Contains(got[0].body, "Observation") || strings.Contains(got[0].body, "Patient") {
		t.Errorf("told %v", got)
	}
}

func many(n int) (list string) {
	for i := range n {
		list += fmt.Sprint(",p", i)
	}
	return list
}

// What a receiver does not take is told again later, under its number; when it takes
// nothing for long the subscription is in error, and its client starts it again
// without a loss. A redirect is not followed.
func TestReceiverFails(t *testing.T) {
	t.Parallel()
	s := newSubscriber(t)
	s.put(s.backend(), patientX)
	wish := s.wish(`"Observation?patient=x"`, "id-only", "")
	id := s.subscribe(wish)
	s.want(s.rounds(1), "handshake 0")
	s.put(s.backend(), observation("a", "1"))
	s.answer = func(w http.ResponseWriter, _ told) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusTooManyRequests)
	}
	s.want(s.rounds(2), "event-notification 1 #1=Observation/a")
	s.put(s.backend(), observation("b", "1"))
	s.want(s.rounds(1)) // it asked us to wait
	s.answer = nil
	s.want(s.rounds(1), "event-notification 1 #1=Observation/a", "event-notification 2 #2=Observation/b")

	s.put(s.backend(), observation("c", "1"))
	s.answer = func(w http.ResponseWriter, _ told) {
		w.Header().Set("Location", s.server.URL+"/elsewhere")
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
	tries := s.rounds(300)
	for _, b := range tries {
		if e := event(t, b); e != "event-notification 3 #3=Observation/c" {
			t.Fatalf("told %s", e)
		}
	}
	if got := s.get(s.token, "/Subscription/"+id).want(t, 200).resource(t); len(tries) != 10 || got.Get("status").Text() != "error" || got.Get("error").Text() == "" {
		t.Errorf("after %d tries: %s", len(tries), got.JSON())
	}
	s.answer = nil
	s.put(s.backend(), observation("d", "1"))
	s.want(s.rounds(2))
	s.do(ask{method: http.MethodPut, path: "/Subscription/" + id, token: s.token, body: strings.Replace(wish, `"status"`, `"id":"`+id+`","status"`, 1)}).want(t, 200)
	s.want(s.rounds(3), "event-notification 3 #3=Observation/c", "handshake 3", "event-notification 4 #4=Observation/d")
	if s.status(id) != "active" {
		t.Error("it is not active again")
	}
}

// A process that dies after a notice left, or after a round, loses none and counts
// none twice.
func TestTellerDies(t *testing.T) {
	t.Parallel()
	s := newSubscriber(t)
	s.put(s.backend(), patientX)
	s.subscribe(s.wish(`"Observation?patient=x"`, "id-only", ""))
	s.want(s.rounds(1), "handshake 0")
	for i := range 3 {
		s.put(s.backend(), observation(fmt.Sprint("o", i), "1"))
		s.want(s.rounds(1)) // it is found
		s.start()
		dying, die := context.WithCancel(t.Context())
		s.answer = func(w http.ResponseWriter, _ told) { die() } // it arrived, but nobody noted that
		s.later(minute)
		if err := s.teller.Tell(dying, s.clock()); !errors.Is(err, context.Canceled) {
			t.Errorf("it did not die: %v", err)
		}
		s.start()
		s.answer = nil
		again := fmt.Sprintf("event-notification %d #%d=Observation/o%d", i+1, i+1, i)
		s.want(s.rounds(2), again, again)
	}
}

// A client that is suspended, or may see no longer what it asked for, is told nothing
// from then on, not even what was found before.
func TestSubscriberIsNobody(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]error{"suspended": access.ErrInactive, "taken back": auth.ErrToken} {
		t.Run(name, func(t *testing.T) {
			s := newSubscriber(t)
			s.put(s.backend(), patientX)
			id := s.subscribe(s.wish(`"Observation?patient=x"`, "full-resource", ""))
			s.want(s.rounds(1), "handshake 0")
			s.put(s.backend(), observation("a", "1"))
			s.want(s.rounds(1)) // it is found
			s.gone = gone
			s.want(s.rounds(3))
			if s.status(id) != "error" {
				t.Errorf("it is %s", s.status(id))
			}
		})
	}
}

// What is withheld between the round that found it and the one that tells it is not
// told: its number is, about nothing.
func TestWithheldBeforeItIsTold(t *testing.T) {
	t.Parallel()
	s := newSubscriber(t)
	s.put(s.backend(), patientX)
	s.subscribe(s.wish(`"Observation?patient=x"`, "full-resource", ""))
	s.want(s.rounds(1), "handshake 0")
	s.put(s.backend(), observation("a", "2951-2"))
	s.want(s.rounds(1))
	s.put(s.backend(), observation("a", hiv))
	s.want(s.rounds(1), "event-notification 1 #1")
	s.want(s.rounds(2))
}
