package fhirapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/notify"
	"firebreak/record"
	"firebreak/search"
	"firebreak/web"
)

// A Subscription asks the server to tell its client what is new in what the client may
// see: R4's rest-hook with a search as criteria, or the Subscriptions R5 Backport with
// a topic. It is kept beside the records, and is its client's alone.

const subscription = "Subscription"

// Subscribing is what may be subscribed to.
type Subscribing struct {
	To    []string      // addresses that may be told, compared letter by letter
	Every time.Duration // between rounds
}

const (
	statusOfAll = `/{type:Subscription}/$status`
	statusPath  = `/{type:Subscription}/{id:[A-Za-z0-9\-.]{1,64}}/$status`
	eventsPath  = `/{type:Subscription}/{id:[A-Za-z0-9\-.]{1,64}}/$events`
)

// subscribing are the interactions of Subscriptions, in place of those of all types.
// They have no history.
var subscribing = []interaction{
	{"read", http.MethodGet, idPath, auth.Read, (*api).readSubscription},
	{"search-type", http.MethodGet, typePath, auth.Search, (*api).search},
	{"", http.MethodPost, typePath + `/_search`, auth.Search, (*api).search},
	{"create", http.MethodPost, typePath, auth.Create, (*api).keepSubscription},
	{"update", http.MethodPut, idPath, auth.Update, (*api).keepSubscription},
	{"delete", http.MethodDelete, idPath, auth.Delete, (*api).endSubscription},
	{"$status", http.MethodGet, statusOfAll, auth.Search, (*api).statusOfSubscriptions},
	{"$status", http.MethodGet, statusPath, auth.Read, (*api).statusOfSubscriptions},
	{"$events", http.MethodGet, eventsPath, auth.Read, (*api).eventsOfSubscription},
	{"$status", http.MethodPost, statusOfAll, auth.Search, (*api).statusOfSubscriptions},
	{"$status", http.MethodPost, statusPath, auth.Read, (*api).statusOfSubscriptions},
	{"$events", http.MethodPost, eventsPath, auth.Read, (*api).eventsOfSubscription},
	{"", http.MethodGet, versionPath, auth.Read, notServed},
	{"", http.MethodGet, idPath + `/_history`, auth.Read, notServed},
	{"", http.MethodGet, typePath + `/_history`, auth.Search, notServed},
}

func notServed(*api, http.ResponseWriter, *http.Request, access.Caller) error { return fhir.NotFound() }

const (
	backport        = "http://hl7.org/fhir/uv/subscriptions-backport/"
	contentOf       = backport + "StructureDefinition/backport-payload-content"
	heartbeatOf     = backport + "StructureDefinition/backport-heartbeat-period"
	timeoutOf       = backport + "StructureDefinition/backport-timeout"
	mostOf          = backport + "StructureDefinition/backport-max-count"
	filterOf        = backport + "StructureDefinition/backport-filter-criteria"
	topicsOf        = backport + "StructureDefinition/capabilitystatement-subscriptiontopic-canonical"
	statusOperation = backport + "OperationDefinition/backport-subscription-status"
	eventsOperation = backport + "OperationDefinition/backport-subscription-events"
)

// contents are how much of what happened is told.
var contents = []string{"empty", "id-only", "full-resource"}

// changes is the one topic there is: whatever newly stands in what its subscriber sees
// of the records that the filters name, or stands there otherwise than before.
func changes(base string) string { return base + "/SubscriptionTopic/patient-data-change" }

func (s *Subscribing) capability(base string, operations []object) object {
	does := []object{}
	for _, i := range subscribing {
		if i.name != "" && !i.operation() {
			does = append(does, object{"code": i.name})
		}
	}
	return object{
		"extension": []object{{"url": topicsOf, "valueCanonical": changes(base)}},
		"type":      subscription, "profile": structureOf(subscription), "supportedProfile": []string{backport + "StructureDefinition/backport-subscription"},
		"documentation": "rest-hook and email to addresses that this server's operator allows: without payload, or by rest-hook as the Subscriptions R5 Backport 1.1.0 has it. Criteria are a search that names its patients, or the topic with such searches as filters. A client reads its own; headers are not shown. What is new to the client is looked for every " + s.Every.String() + " and told at the next round.",
		"interaction":   does, "versioning": "versioned", "readHistory": false, "updateCreate": false, "conditionalCreate": false, "conditionalRead": "not-supported",
		"conditionalUpdate": false, "conditionalDelete": "not-supported", "referencePolicy": []string{"literal"},
		"operation": slices.Concat(operations, []object{{"name": "status", "definition": statusOperation}, {"name": "events", "definition": eventsOperation}}),
	}
}

// subscribe serves one path.
func (a *api) subscribe(w http.ResponseWriter, r *http.Request, c access.Caller, all []interaction) error {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var allow []string
	for _, i := range all {
		if i.method != method {
			allow = append(allow, i.method)
			continue
		}
		if c.May(i.needs, subscription) == auth.Nothing {
			return a.beyond(w, r, c, i.name, subscription)
		}
		return i.handler(a, w, r, c)
	}
	return notAllowed(w, allow...)
}

// mine is one of the caller's subscriptions. Who looked is written down.
func (a *api) mine(r *http.Request, c access.Caller, id string) (record.Subscription, error) {
	s, err := a.Reader.Subscription(r.Context(), c, id)
	if shown, ok := errors.AsType[*fhir.Error](err); err != nil && (!ok || shown.Status != http.StatusNotFound) {
		return s, err
	}
	e := audit.Event{Time: a.Now(), Action: audit.Read, Refused: err != nil, Caller: c, Detail: subscription, Address: web.Address(r), Request: web.RequestID(r)}
	if err == nil {
		e.Entities = []fhir.Ref{{Type: subscription, ID: id}}
	}
	if err := a.Audit.Append(r.Context(), e); err != nil {
		return s, err
	}
	return s, err
}

func (a *api) readSubscription(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	q, err := projection(subscription, r)
	if err != nil {
		return err
	}
	s, err := a.mine(r, c, target(r).ID)
	if err != nil {
		return err
	}
	res, err := shown(s)
	if err == nil {
		res, err = q.Project(res)
	}
	if err != nil {
		return err
	}
	versionOf(w, s)
	return web.Resource(w, r, http.StatusOK, res.JSON())
}

func versionOf(w http.ResponseWriter, s record.Subscription) {
	w.Header().Set("ETag", `W/"`+strconv.FormatInt(s.Edition, 10)+`"`)
	w.Header().Set("Last-Modified", s.Updated.UTC().Format(http.TimeFormat))
}

// subscriptions are the caller's, to be searched.
func (a *api) subscriptions(r *http.Request, c access.Caller) (*search.Index[definition], error) {
	all, err := a.Reader.Subscriptions(r.Context(), c)
	if err != nil {
		return nil, err
	}
	e := audit.Event{Time: a.Now(), Action: audit.Search, Caller: c, Detail: subscription, Address: web.Address(r), Request: web.RequestID(r)}
	var items []definition
	for _, s := range all {
		res, err := shown(s)
		if err != nil {
			return nil, err
		}
		e.Entities = append(e.Entities, res.Ref())
		items = append(items, definition{res})
	}
	return search.NewIndex(items), a.Audit.Append(r.Context(), e)
}

// shown is a subscription as its client reads it.
func shown(s record.Subscription) (fhir.Resource, error) {
	o, err := loosely([]byte(s.Shown))
	if err != nil {
		return fhir.Resource{}, err
	}
	o["id"], o["status"] = s.ID, s.Status
	meta, _ := o["meta"].(object)
	if meta == nil {
		meta = object{}
	}
	meta["versionId"], meta["lastUpdated"] = strconv.FormatInt(s.Edition, 10), s.Updated.UTC().Format("2006-01-02T15:04:05.000Z07:00")
	o["meta"] = meta
	if s.Reason != "" {
		o["error"] = s.Reason
	}
	b, err := json.Marshal(o)
	if err != nil {
		return fhir.Resource{}, err
	}
	return fhir.Parse(b)
}

// loosely reads a resource to change it; numbers keep their digits.
func loosely(b []byte) (o object, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return o, d.Decode(&o)
}

// keepSubscription creates one or changes the caller's own.
func (a *api) keepSubscription(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	id := target(r).ID
	if len(r.Header.Values("If-None-Exist")) > 0 {
		return &fhir.Error{Status: http.StatusBadRequest, Code: "not-supported", Text: "A subscription is created without conditions."}
	}
	res, err := body(r)
	if err != nil {
		return err
	}
	if res.Type() != subscription || id != "" && res.ID() != id {
		return &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: "The resource is not the address's, by type or id.", Expression: res.Type()}
	}
	if err := sound(res); err != nil {
		return err
	}
	wish, err := a.wish(res)
	if err != nil {
		return err
	}
	for _, question := range wish.Asked {
		if typ, _, _ := strings.Cut(question, "?"); c.May(auth.Search, typ) == auth.Nothing {
			return a.beyond(w, r, c, "search", typ)
		}
	}
	status := http.StatusCreated
	if id != "" {
		status = http.StatusOK
		before, err := a.mine(r, c, id)
		if err != nil {
			return err
		}
		if match := r.Header.Values("If-Match"); len(match) > 0 && !slices.Contains(match, `W/"`+strconv.FormatInt(before.Edition, 10)+`"`) {
			return &fhir.Error{Status: http.StatusPreconditionFailed, Code: "conflict", Text: "There is another version than the request expects."}
		}
	}
	s, err := a.Reader.Subscribe(r.Context(), a.ask(r, c, subscription), id, wish)
	if err != nil {
		return err
	}
	got, err := shown(s)
	if err != nil {
		return err
	}
	versionOf(w, s)
	w.Header().Set("Location", a.Base+"/"+got.Ref().String())
	if preference(r, "return") == "minimal" {
		w.WriteHeader(status)
		return nil
	}
	return web.Resource(w, r, status, got.JSON())
}

func (a *api) endSubscription(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	if err := a.Reader.Unsubscribe(r.Context(), a.ask(r, c, subscription), target(r).ID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// wish reads what a Subscription asks for, and refuses what is not done here.
//
// Source: R4 subscription.html; Subscriptions R5 Backport 1.1.0, R4/B Topic-Based Subscription.
func (a *api) wish(res fhir.Resource) (record.Wish, error) {
	no := func(at, text string) (record.Wish, error) {
		return record.Wish{}, &fhir.Error{Status: http.StatusUnprocessableEntity, Code: "not-supported", Text: text, Expression: "Subscription." + at}
	}
	w := record.Wish{Base: a.Base}
	switch res.Get("status").Text() {
	case record.Requested, record.Active:
	case record.Off:
		w.Off = true
	default:
		return no("status", "A client asks for requested, or for off.")
	}
	channel := res.Get("channel")
	mail := channel.Get("type").Is("email")
	if !mail && !channel.Get("type").Is("rest-hook") {
		return no("channel.type", "There are rest-hook and email.")
	}
	if w.Endpoint = channel.Get("endpoint").Text(); !slices.Contains(a.Subscribing.To, w.Endpoint) || mail != strings.HasPrefix(w.Endpoint, notify.Mailto) {
		return no("channel.endpoint", "That is not an address that may be told: the operator of this server allows each.")
	}
	if payload := channel.Get("payload").Text(); payload != "" && mail {
		return no("channel.payload", "A mail says that something is new, not what: it has no payload.")
	} else if payload != "" && payload != "application/fhir+json" {
		return no("channel.payload", "It is application/fhir+json, or absent for a notice without a body.")
	} else if payload != "" {
		w.Content = extension(channel.Get("_payload"), contentOf, "valueCode")
		if !slices.Contains(contents, w.Content) {
			return no("channel.payload", "The extension backport-payload-content says empty, id-only or full-resource.")
		}
	}
	for _, x := range []struct {
		url, value string
		most       int
		keep       func(n int)
	}{
		{heartbeatOf, "valueUnsignedInt", 30 * 86400, func(n int) { w.Heartbeat = time.Duration(n) * time.Second }},
		{timeoutOf, "valueUnsignedInt", 86400, func(n int) { w.Timeout = time.Duration(n) * time.Second }},
		{mostOf, "valuePositiveInt", 10_000, func(n int) { w.Most = min(n, 100) }},
	} {
		text := extension(channel, x.url, x.value)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > x.most || w.Content == "" {
			return no("channel", "An extension of the backport has a value that is not served, or no payload beside it.")
		}
		x.keep(n)
	}
	if text := res.Get("end").Text(); text != "" {
		ends, err := time.Parse(time.RFC3339, text)
		if err != nil || !ends.After(a.Now()) {
			return no("end", "It is an instant to come.")
		}
		w.Ends = ends
	}
	for h := range channel.All("header") {
		if !sendable(h.Text()) || len(w.Headers) == 10 || mail {
			return no("channel.header", "Up to ten headers are sent by rest-hook, each as Name: value, none that HTTP needs itself.")
		}
		w.Headers = append(w.Headers, h.Text())
	}
	var err error
	if w.Topic, w.Asked, err = a.criteria(res); err != nil {
		return record.Wish{}, err
	}
	o, err := loosely(res.JSON())
	if err != nil {
		return record.Wish{}, err
	}
	for _, own := range []string{"id", "status", "error"} {
		delete(o, own)
	}
	if channel, ok := o["channel"].(object); ok {
		delete(channel, "header") // a secret, mostly
		delete(channel, "_header")
	}
	b, err := json.Marshal(o)
	w.Shown = string(b)
	return w, err
}

// criteria are the searches that a Subscription asks with, one of each type. What
// several filters of the backport say of one type holds together.
func (a *api) criteria(res fhir.Resource) (topic string, asked []string, err error) {
	bad := func(text string) error {
		return &fhir.Error{Status: http.StatusUnprocessableEntity, Code: "not-supported", Text: text, Expression: "Subscription.criteria"}
	}
	text := res.Get("criteria").Text()
	filters := []string{text}
	if strings.Contains(strings.SplitN(text, "?", 2)[0], ":") { // a canonical address
		if topic = changes(a.Base); text != topic {
			return "", nil, bad("The only topic here is " + topic + ".")
		}
		filters = nil
		for x := range res.Get("_criteria").All("extension") {
			if x.Get("url").Is(filterOf) {
				filters = append(filters, x.Get("valueString").Text())
			}
		}
		if len(filters) == 0 || len(filters) > 20 {
			return "", nil, bad("The topic is narrowed by 1 to 20 filters, Type?search.")
		}
	}
	by := map[string]string{}
	for _, f := range filters {
		typ, query, ok := strings.Cut(f, "?")
		if _, err := url.ParseQuery(query); err != nil || !ok || !fhir.IsType(typ) || typ == subscription {
			return "", nil, bad("Criteria are a search of one type, Type?search.")
		}
		if by[typ] != "" {
			query = by[typ] + "&" + query
		}
		by[typ] = query
	}
	for typ, query := range by {
		asked = append(asked, typ+"?"+query)
	}
	slices.Sort(asked)
	return topic, asked, nil
}

// extension is the value of the first extension of that address.
func extension(n fhir.Node, address, value string) string {
	for x := range n.All("extension") {
		if x.Get("url").Is(address) {
			return x.Get(value).Text()
		}
	}
	return ""
}

// sendable tells whether a line is a header that a client may have sent to itself.
func sendable(line string) bool {
	name, value, ok := strings.Cut(line, ":")
	word := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	}
	if !ok || name == "" || len(line) > 4096 || strings.ContainsFunc(name, func(c rune) bool { return !word(c) }) ||
		strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' }) {
		return false
	}
	switch name = textproto.CanonicalMIMEHeaderKey(name); name {
	case "Host", "Connection", "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Expect", "User-Agent", "Keep-Alive":
		return false
	}
	return !strings.HasPrefix(name, "Proxy-")
}

// statusOfSubscriptions is $status of one subscription or of the caller's, some or all.
//
// Source: Subscriptions R5 Backport 1.1.0, Subscription Status Operation.
func (a *api) statusOfSubscriptions(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	asked, _, err := given(r, "id", "status")
	if err != nil {
		return err
	}
	var all []record.Subscription
	if id := mux.Vars(r)["id"]; id != "" {
		s, err := a.mine(r, c, id)
		if err != nil {
			return err
		}
		all = append(all, s)
	} else {
		if _, err := a.subscriptions(r, c); err != nil { // which is written down
			return err
		}
		if all, err = a.Reader.Subscriptions(r.Context(), c); err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(s record.Subscription) bool {
			return asked.Has("id") && !among(asked.Get("id"), s.ID) || asked.Has("status") && !among(asked.Get("status"), s.Status)
		})
	}
	b := newBundle("searchset")
	b.total(len(all))
	b.link("self", a.Base+strings.TrimPrefix(r.URL.Path, "/fhir"))
	for _, s := range all {
		res, err := made(notify.Status(a.Base, record.Parcel{Subscription: s, Kind: "query-status"}))
		if err != nil {
			return err
		}
		b.found(a.Base, res, "match")
	}
	return b.send(w, r)
}

func among(list, word string) bool { return slices.Contains(strings.Split(list, ","), word) }

// eventsOfSubscription is $events: what a subscription was told, again, as its client
// may know it now.
//
// Source: Subscriptions R5 Backport 1.1.0, Subscription Events Operation.
func (a *api) eventsOfSubscription(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	asked, _, err := given(r, "eventsSinceNumber", "eventsUntilNumber", "content")
	if err != nil {
		return err
	}
	bounds := [2]int64{1, 1<<62 - 1}
	for i, name := range []string{"eventsSinceNumber", "eventsUntilNumber"} {
		if !asked.Has(name) {
			continue
		}
		if bounds[i], err = strconv.ParseInt(asked.Get(name), 10, 62); err != nil || bounds[i] < 0 {
			return &fhir.Error{Status: http.StatusBadRequest, Code: "value", Text: "It is a number, from 0.", Expression: "http." + name}
		}
	}
	if content := asked.Get("content"); asked.Has("content") && !slices.Contains(contents, content) {
		return &fhir.Error{Status: http.StatusBadRequest, Code: "value", Text: "It is empty, id-only or full-resource.", Expression: "http.content"}
	}
	p, err := a.Reader.Missed(r.Context(), a.ask(r, c, subscription), mux.Vars(r)["id"], asked.Get("content"), bounds[0], bounds[1])
	if err != nil {
		return err
	}
	body, err := notify.Notification(a.Base, p, a.Now())
	if err != nil {
		return err
	}
	return web.Resource(w, r, http.StatusOK, body)
}
