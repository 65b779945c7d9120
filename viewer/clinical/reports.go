package clinical

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strings"

	"firebreak/fhir"
	"firebreak/policy"
)

// Report is a DiagnosticReport.
type Report struct {
	Origin
	Name       string
	Kind       string // "Laboratory", "Radiology"; as sent
	Status     Status
	When       Time // when what it reports was done
	Issued     Time
	Performer  string
	Reader     string // who interpreted it
	Specimen   string
	Conclusion string
	Findings   string // coded conclusions
	Notes      []string
	Files      []File

	panel   string // key of the Panel that its results stand in
	results []fhir.Ref
}

// readReports reads every report and notes which result stands where in the
// newest report that holds it.
func (c *Chart) readReports() {
	found := c.src.Of("DiagnosticReport")
	c.Reports = make([]*Report, len(found))
	apart(len(found), func(i int) { c.Reports[i] = c.readReport(found[i]) })
	slices.SortFunc(c.Reports, func(a, b *Report) int {
		return cmp.Or(newer(a.Date(), b.Date()), b.Received.Compare(a.Received), cmp.Compare(a.Ref.ID, b.Ref.ID))
	})
	c.reported = make(map[fhir.Ref]place, len(c.src.Of("Observation")))
	for _, report := range c.Reports {
		for i, id := range report.results {
			if _, known := c.reported[id]; !known {
				c.reported[id] = place{report.panel, report.Name, report.Kind, i, ""}
			}
		}
	}
}

func (c *Chart) readReport(x policy.Released) *Report {
	r := x.Content()
	code := concept(r.Get("code"))
	report := &Report{
		Origin: originOf(x), Name: code.Name(), Kind: names(concepts(r.Get("category"))),
		Status: Status(r.Get("status").Text()), When: anyTime(r, "effectiveDateTime", "effectivePeriod"),
		Issued: ParseTime(r.Get("issued").Text()), Performer: c.everyone(r.Get("performer")),
		Reader: c.everyone(r.Get("resultsInterpreter")), Conclusion: r.Get("conclusion").Text(),
		Findings: names(concepts(r.Get("conclusionCode"))), Notes: notes(r.Get("note")),
		Files: c.files(r.Get("presentedForm")), panel: "report|" + testKey(code),
	}
	for s := range r.Get("specimen").Items() {
		if spec, ok := c.src.Get(ref(s)); ok {
			report.Specimen = cmp.Or(report.Specimen, concept(spec.Content().Get("type")).Name())
		}
	}
	for item := range r.Get("result").Items() {
		report.results = append(report.results, ref(item))
	}
	return report
}

// Date is when what the report tells was done, else when it was issued.
func (r *Report) Date() Time {
	if r.When.IsZero() {
		return r.Issued
	}
	return r.When
}

// ResultsOf are the results a report lists, in its order, panels opened.
func (c *Chart) ResultsOf(r *Report) []*Result {
	var all []*Result
	seen := map[fhir.Ref]bool{}
	var add func(fhir.Ref, int)
	add = func(id fhir.Ref, depth int) {
		if seen[id] || depth > 4 {
			return
		}
		seen[id] = true
		all = append(all, c.results[id]...)
		if x, ok := c.src.Get(id); ok {
			for m := range x.Content().Get("hasMember").Items() {
				add(ref(m), depth+1)
			}
		}
	}
	for _, id := range r.results {
		add(id, 0)
	}
	return all
}

// File is one attachment of a report or document.
type File struct {
	Title string
	Type  string // MIME type without parameters, lower case
	When  Time
	data  fhir.Node // base64, in the resource itself
	where fhir.Ref  // the Binary that holds it
}

// files reads Attachments. Only what lies in the chart can be opened: an
// address elsewhere is never followed.
func (c *Chart) files(n fhir.Node) []File {
	var all []File
	for item := range n.Items() {
		f := File{Title: item.Get("title").Text(), Type: mime(item.Get("contentType").Text()), When: ParseTime(item.Get("creation").Text()), data: item.Get("data")}
		if r, ok := fhir.ParseRef(item.Get("url").Text()); ok && r.Type == "Binary" {
			f.where = r
			if x, ok := c.src.Get(r); ok && f.Type == "" {
				f.Type = mime(x.Content().Get("contentType").Text())
			}
		}
		all = append(all, f)
	}
	return all
}

func mime(s string) string {
	s, _, _ = strings.Cut(s, ";")
	return strings.ToLower(strings.TrimSpace(s))
}

// Bytes is a file's content; ok is false when it did not come with the record.
func (c *Chart) Bytes(f File) (content []byte, ok bool) {
	data := f.data
	if data.IsZero() {
		x, found := c.src.Get(f.where)
		if !found {
			return nil, false
		}
		data = x.Content().Get("data")
	}
	text := strings.Map(func(r rune) rune {
		if r == ' ' || r == '\n' || r == '\r' || r == '\t' {
			return -1
		}
		return r
	}, data.Text())
	content, err := base64.StdEncoding.DecodeString(text)
	return content, err == nil && len(content) > 0
}

// Document is a DocumentReference, or a Communication: a letter, note or
// message.
type Document struct {
	Origin
	Name    string
	Kind    string
	Status  Status // of its content: "final", "preliminary", ...
	Gone    bool   // entered in error, or replaced by another
	When    Time
	Author  string
	Keeper  string // who is responsible for it
	About   string
	Files   []File
	Texts   []string // what a Communication says
	Message bool     // a Communication
}

func (c *Chart) readDocuments() {
	for _, x := range c.src.Of("DocumentReference") {
		r := x.Content()
		d := &Document{
			Origin: originOf(x), Kind: concept(r.Get("type")).Name(), Status: Status(r.Get("docStatus").Text()),
			When: anyTime(r, "date"), Author: c.everyone(r.Get("author")), Keeper: c.called(r.Get("custodian")),
			About: names(concepts(r.Get("category"))),
		}
		d.Name = cmp.Or(r.Get("description").Text(), d.Kind)
		switch r.Get("status").Text() {
		case "entered-in-error":
			d.Status, d.Gone = "entered-in-error", true
		case "superseded":
			d.Status, d.Gone = "superseded", true
		}
		if d.When.IsZero() {
			d.When = ParseTime(r.Root().At("context.period.start").Text())
		}
		for content := range r.Get("content").Items() {
			d.Files = append(d.Files, c.files(content.Get("attachment"))...)
		}
		if d.Name == "" && len(d.Files) > 0 {
			d.Name = d.Files[0].Title
		}
		c.Documents = append(c.Documents, d)
	}
	for _, x := range c.src.Of("Communication") {
		r := x.Content()
		d := &Document{
			Origin: originOf(x), Message: true, Kind: names(concepts(r.Get("category"))), Status: Status(r.Get("status").Text()),
			When: anyTime(r, "sent", "received"), Author: c.called(r.Get("sender")), About: concept(r.Get("topic")).Name(),
		}
		d.Gone = d.Status.Withdrawn()
		d.Name = cmp.Or(d.About, names(concepts(r.Get("reasonCode"))), d.Kind)
		for p := range r.Get("payload").Items() {
			if t := p.Get("contentString").Text(); t != "" {
				d.Texts = append(d.Texts, t)
			}
			d.Files = append(d.Files, c.files(p.Get("contentAttachment"))...)
		}
		d.Texts = append(d.Texts, notes(r.Get("note"))...)
		c.Documents = append(c.Documents, d)
	}
	slices.SortFunc(c.Documents, func(a, b *Document) int {
		return cmp.Or(newer(a.When, b.When), b.Received.Compare(a.Received), cmp.Compare(a.Ref.String(), b.Ref.String()))
	})
}
