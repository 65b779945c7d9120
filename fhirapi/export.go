package fhirapi

import (
	"bytes"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/gorilla/mux"

	"firebreak/access"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/record"
	"firebreak/search"
	"firebreak/web"
)

// Bulk Data Access 2.0 (http://hl7.org/fhir/uv/bulkdata/STU2): a system orders
// all it may see, of everyone, of patients, or of a Group's members, and fetches
// it as files of one type each. A file is made when it is fetched, of what its
// client may see at that moment.

const (
	exportName = "$export"
	ndjson     = "application/fhir+ndjson"
)

// exports are the addresses at which an export is ordered, and the operation's
// canonical address at each.
var exports = []struct{ path, at, definition string }{
	{"/$export", "", "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export"},
	{"/Patient/$export", "Patient", "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/patient-export"},
	{`/Group/{id:[A-Za-z0-9\-.]{1,64}}/$export`, "Group", "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/group-export"},
}

const (
	jobPath  = `/bulk/{job:[A-Za-z0-9]{16}}`
	filePath = jobPath + `/{n:[0-9]{1,9}|errors}`
)

// registerExports adds them to a router.
func (a *api) registerExports(r *mux.Router, prefix string) {
	for _, x := range exports {
		r.Handle(prefix+x.path, a.Guard.API(func(w http.ResponseWriter, r *http.Request, c access.Caller) error {
			return a.order(w, r, c, x.at)
		}))
	}
	r.Handle(prefix+jobPath, a.Guard.API(a.ordered))
	r.Handle(prefix+filePath, a.Guard.API(a.exportFile))
}

// order begins an export.
//
// Source: Bulk Data Access 2.0, "Bulk Data Kick-off Request".
func (a *api) order(w http.ResponseWriter, r *http.Request, c access.Caller, at string) error {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return notAllowed(w, http.MethodGet, http.MethodPost)
	}
	values, err := inputs(r)
	if err != nil {
		return err
	}
	if err := web.Negotiate(r, values); err != nil {
		return err
	}
	if !prefersAsync(r) {
		return &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: "An export is asynchronous only: send Prefer: respond-async."}
	}
	x := record.Export{People: at != "", Request: a.Base + strings.TrimPrefix(r.URL.Path, "/fhir"), Base: a.Base, Lenient: preference(r, "handling") == "lenient"}
	if r.URL.RawQuery != "" {
		x.Request += "?" + r.URL.RawQuery
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		all := values[name]
		switch name {
		case "_outputFormat":
			if len(all) != 1 || !slices.Contains([]string{ndjson, "application/ndjson", "ndjson"}, strings.ReplaceAll(all[0], "fhir ndjson", "fhir+ndjson")) {
				return exportRefusal("_outputFormat", "Files are "+ndjson+".")
			}
		case "_since":
			if len(all) != 1 {
				return exportRefusal("_since", "One instant is taken.")
			}
			if x.Since, err = time.Parse(time.RFC3339, strings.ReplaceAll(all[0], " ", "+")); err != nil {
				return exportRefusal("_since", "It is an instant, as 2026-03-01T00:00:00Z.")
			}
			if x.Since.After(a.Now().Add(time.Minute)) { // whose clock is right is not known
				return exportRefusal("_since", "It lies in the future.")
			}
		case "_type":
			x.Types = []string{}
			for _, list := range all {
				for typ := range strings.SplitSeq(list, ",") {
					if !fhir.IsType(typ) {
						return exportRefusal("_type", "FHIR R4 has no resource type of this name.")
					}
					x.Types = append(x.Types, typ)
				}
			}
			slices.Sort(x.Types)
			x.Types = slices.Compact(x.Types)
		case "_elements":
			for _, list := range all {
				x.Elements = append(x.Elements, strings.Split(list, ",")...)
			}
		case "_typeFilter":
			for _, list := range all {
				x.Filters = append(x.Filters, filtersOf(list)...)
			}
		case "patient":
			if at == "" || r.Method != http.MethodPost {
				return exportRefusal("patient", "It stands in the body of an order for patients or a Group.")
			}
			x.Patients = []string{}
			for _, text := range all {
				ref, ok := fhir.ParseRef(strings.TrimPrefix(text, a.Base+"/"))
				if !ok || ref.Type != "Patient" {
					return exportRefusal("patient", "It is a reference to a Patient.")
				}
				x.Patients = append(x.Patients, ref.ID)
			}
		case "includeAssociatedData":
			for value := range strings.SplitSeq(strings.Join(all, ","), ",") {
				switch p := record.Proof(value); {
				case p == record.ProofRelevant, p == record.ProofLatest && x.Proof == "": // all hold the newest too
					x.Proof = p
				case p == record.ProofLatest:
				case !x.Lenient:
					return exportRefusal(name, "It is LatestProvenanceResources or RelevantProvenanceResources.")
				default:
					x.LeftOut = append(x.LeftOut, "Parameter includeAssociatedData: An export does not know the value. It was left out.")
				}
			}
		case "_format", "_pretty":
		default:
			if !x.Lenient {
				return exportRefusal(name, "An export does not take this parameter.")
			}
			x.LeftOut = append(x.LeftOut, "Parameter "+printable(name)+": An export does not take it. It was left out.")
		}
	}
	if x.Types == nil {
		for _, typ := range search.Types() {
			if c.May(auth.Read, typ) == auth.AllPatients && c.May(auth.Search, typ) == auth.AllPatients {
				x.Types = append(x.Types, typ)
			}
		}
		if len(x.Types) == 0 {
			return a.beyond(w, r, c, exportName, "anything")
		}
	}
	if at == "Group" {
		members, err := a.members(r, c)
		if err != nil {
			return err
		}
		if x.Patients != nil {
			members = slices.DeleteFunc(members, func(m string) bool { return !slices.Contains(x.Patients, m) })
		}
		x.Patients = members
	}
	id, err := a.Reader.Export(r.Context(), a.ask(r, c, ""), x)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Location", a.Base+"/bulk/"+id)
	return web.Resource(w, r, http.StatusAccepted, informed("information", "informational", "The export is under way; Content-Location says where to ask for it."))
}

// members are the patients who are in the Group of the address now, as the caller sees
// it: not those who are inactive, were in it before or are to be.
//
// Source: Bulk Data Access 2.0, "Group of Patients"; R4 Group.member.
func (a *api) members(r *http.Request, c access.Caller) ([]string, error) {
	group, err := a.Reader.Get(r.Context(), a.ask(r, c, "Group"), fhir.Ref{Type: "Group", ID: mux.Vars(r)["id"]})
	if err != nil {
		return nil, err
	}
	all, now := []string{}, a.Now()
	for m := range group.Resource().All("member") {
		if ref, ok := fhir.ParseRef(m.At("entity.reference").Text()); ok && ref.Type == "Patient" && !m.Get("inactive").Is("true") && under(m.Get("period"), now) {
			all = append(all, ref.ID)
		}
	}
	return all, nil
}

// under tells whether a Period has begun and is not over. An end that is no date is none.
func under(period fhir.Node, now time.Time) bool {
	begins, _, ok := moment(period.Get("start").Text())
	if ok && begins.After(now) {
		return false
	}
	_, over, ok := moment(period.Get("end").Text())
	return !ok || over.After(now)
}

// filtersOf splits what some clients send as one parameter. A comma in a value is
// none between filters: behind that stands a type and a question mark.
func filtersOf(list string) []string {
	var all []string
	for part := range strings.SplitSeq(list, ",") {
		typ, _, ok := strings.Cut(part, "?")
		if len(all) > 0 && !(ok && fhir.IsType(typ)) {
			all[len(all)-1] += "," + part
			continue
		}
		all = append(all, part)
	}
	return all
}

// inputs are the parameters of the address, and of the Parameters resource that is posted.
func inputs(r *http.Request) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badQuery()
	}
	if r.Method != http.MethodPost || r.ContentLength == 0 { // a POST may have all in its query
		return values, nil
	}
	sent, err := body(r)
	if err != nil {
		return nil, err
	}
	if sent.Type() != "Parameters" {
		return nil, &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: "Send Parameters.", Expression: sent.Type()}
	}
	for p := range sent.All("parameter") {
		name := p.Get("name").Text()
		for _, element := range []string{"valueString", "valueInstant", "valueDateTime", "valueDate", "valueCode", "valueUri", "valueId", "valueInteger", "valuePositiveInt", "valueUnsignedInt", "valueBoolean"} {
			if v := p.Get(element).Text(); v != "" {
				values.Add(name, v)
			}
		}
		if v := p.At("valueReference.reference").Text(); v != "" {
			values.Add(name, v)
		}
	}
	return values, nil
}

func prefersAsync(r *http.Request) bool {
	for _, line := range r.Header.Values("Prefer") {
		for part := range strings.FieldsFuncSeq(line, func(c rune) bool { return c == ',' || c == ';' }) {
			if strings.EqualFold(strings.TrimSpace(part), "respond-async") {
				return true
			}
		}
	}
	return false
}

func exportRefusal(name, text string) error {
	return &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: text, Expression: "http." + printable(name)}
}

// ordered tells how far an export is, or deletes it.
//
// Source: Bulk Data Access 2.0, "Bulk Data Status Request", "Delete Request".
func (a *api) ordered(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	id := mux.Vars(r)["job"]
	switch r.Method {
	case http.MethodDelete:
		if err := a.Reader.DropExport(r.Context(), a.ask(r, c, exportName), id); err != nil {
			return err
		}
		return web.Resource(w, r, http.StatusAccepted, informed("information", "informational", "The export is deleted."))
	case http.MethodGet, http.MethodHead:
	default:
		return notAllowed(w, http.MethodGet, http.MethodDelete)
	}
	x, err := a.Reader.Exported(r.Context(), a.ask(r, c, exportName), id)
	if err != nil {
		return err
	}
	h := w.Header()
	if !x.Done {
		h.Set("Retry-After", "1")
		h.Set("X-Progress", strconv.Itoa(x.People)+" patients")
		return web.Resource(w, r, http.StatusAccepted, informed("information", "informational", "The export is under way."))
	}
	output, leftOut := []object{}, []object{}
	for n, typ := range x.Files {
		output = append(output, object{"type": typ, "url": a.Base + "/bulk/" + id + "/" + strconv.Itoa(n)})
	}
	if len(x.LeftOut) > 0 {
		leftOut = append(leftOut, object{"type": "OperationOutcome", "url": a.Base + "/bulk/" + id + "/errors"})
	}
	b, err := json.Marshal(object{
		"transactionTime": x.Began.UTC().Format("2006-01-02T15:04:05.000Z07:00"), "request": x.Request,
		"requiresAccessToken": true, "output": output, "error": leftOut,
	}, json.Deterministic(true))
	if err != nil {
		return err
	}
	h.Set("Expires", x.Ends.UTC().Format(http.TimeFormat))
	return web.Write(w, r, http.StatusOK, "application/json", b)
}

// exportFile is one file: a resource a line.
//
// Source: Bulk Data Access 2.0, "Output File Request".
func (a *api) exportFile(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return notAllowed(w, http.MethodGet)
	}
	var lines bytes.Buffer
	absolute := []byte(`${1}"` + strings.ReplaceAll(a.Base, "$", "$$") + `/${2}"`)
	if mux.Vars(r)["n"] == "errors" {
		x, err := a.Reader.Exported(r.Context(), a.ask(r, c, exportName), mux.Vars(r)["job"])
		if err == nil && len(x.LeftOut) == 0 {
			err = fhir.NotFound()
		}
		if err != nil {
			return err
		}
		for _, text := range x.LeftOut {
			lines.Write(informed("warning", "not-supported", text))
			lines.WriteByte('\n')
		}
		return web.Write(w, r, http.StatusOK, ndjson, lines.Bytes())
	}
	n, err := strconv.Atoi(mux.Vars(r)["n"])
	if err != nil {
		return fhir.NotFound()
	}
	err = a.Reader.ExportFile(r.Context(), a.ask(r, c, ""), mux.Vars(r)["job"], n, func(m fhir.Resource) error {
		line, err := oneLine(m.JSON())
		if bytes.Contains(line, []byte(`"Binary/`)) {
			line = localFile.ReplaceAll(line, absolute)
		}
		lines.Write(line)
		lines.WriteByte('\n')
		return err
	})
	if err != nil {
		return err
	}
	return web.Write(w, r, http.StatusOK, ndjson, lines.Bytes())
}

// localFile finds the attachments whose file is a Binary here: nothing else has a url
// that is one. In a file it stands with the base, for whoever reads that has none.
//
// Source: Bulk Data Access 2.0, "Attachments".
var localFile = regexp.MustCompile(`("url"\s*:\s*)"(Binary/[A-Za-z0-9\-.]{1,64})"`)

// oneLine is a resource without line breaks: between values, for inside one JSON has
// none. Most are as they came.
func oneLine(b []byte) ([]byte, error) {
	if !bytes.ContainsAny(b, "\r\n") {
		return b, nil
	}
	out := bytes.Map(func(c rune) rune {
		if c == '\n' || c == '\r' {
			return ' '
		}
		return c
	}, b)
	if len(out) != len(b) {
		return nil, errors.New("fhirapi: a resource is not valid UTF-8")
	}
	return out, nil
}
