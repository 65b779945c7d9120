package viewer

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"firebreak/access"
	"firebreak/fhir"
	"firebreak/viewer/clinical"
)

// The methods below draw the small parts that pages are made of.

// When is a time in full: "22-Nov-2026 08:10 PST".
func (f *frame) When(t clinical.Time) template.HTML { return f.time(t, t.Date()) }

// Short is a time without its year when that is plain.
func (f *frame) Short(t clinical.Time) template.HTML { return f.time(t, t.Short(f.now)) }

// Day is a date alone.
func (f *frame) Day(t clinical.Time) template.HTML {
	if t.IsZero() {
		return ""
	}
	return html(`<time datetime="`, t.Machine(), `">`, t.Date(), `</time>`)
}

func (f *frame) time(t clinical.Time, date string) template.HTML {
	if t.IsZero() {
		return html(`<span class="q">`, f.v.words.say("time.none"), `</span>`)
	}
	if t.Clock() == "" {
		return html(`<time datetime="`, t.Machine(), `">`, date, `</time>`)
	}
	return html(`<time datetime="`, t.Machine(), `">`, date, ` `, t.Clock(), ` <span class="q">`, t.Zone(f.v.Zone), `</span></time>`)
}

// Moment is a time of this program's own.
func (f *frame) Moment(o clinical.Origin) template.HTML {
	return f.When(clinical.Moment(o.Received, f.v.Zone))
}

// Began is when a patient came to a place, as told, or since when it was told.
func (f *frame) Began(s clinical.Stay) template.HTML {
	if s.From.IsZero() {
		return f.When(clinical.Moment(s.Said, f.v.Zone))
	}
	return f.When(s.From)
}

// Now is the time the page was made.
func (f *frame) Now() template.HTML { return f.When(clinical.Moment(f.now, f.v.Zone)) }

// Zone is the zone a time was told in.
func (f *frame) Zone(t clinical.Time) string { return t.Zone(f.v.Zone) }

// EndsAt is when the session ends unused.
func (f *frame) EndsAt() string {
	t := clinical.Moment(f.now.Add(time.Duration(f.Left)*time.Second), f.v.Zone)
	return t.Clock() + " " + t.Zone(f.v.Zone)
}

// Refresh sends a page whose time is up to "signed out" where there is no
// script to do it. One second is added so that the server agrees.
func (f *frame) Refresh() template.HTML {
	return template.HTML(fmt.Sprintf(`<meta http-equiv="refresh" content="%d;url=%s">`, f.Left+1, SignedOut))
}

// OnTab marks the tab of the page one is on.
func (f *frame) OnTab(pages ...string) template.HTMLAttr {
	if slices.Contains(pages, f.Tab) {
		return ` aria-current="page"`
	}
	return ""
}

// RoleWord is a role in words.
func (f *frame) RoleWord(r access.Role) string { return f.v.words.or("role."+string(r), string(r)) }

// Source names the feed an item came by.
func (f *frame) Source(o clinical.Origin) string { return f.v.feedName(o.Source) }

// Sources names the feed of a result, or says how many sent the same.
func (f *frame) Sources(r *clinical.Result) string {
	if len(r.Sources) > 1 {
		return f.v.words.say("result.sources", len(r.Sources))
	}
	return f.v.feedName(r.Source)
}

// AllSources names every feed of a result.
func (f *frame) AllSources(r *clinical.Result) string {
	if len(r.Sources) < 2 {
		return f.v.feedName(r.Source)
	}
	names := make([]string, len(r.Sources))
	for i, s := range r.Sources {
		names[i] = f.v.feedName(s)
	}
	return strings.Join(names, ", ")
}

// Flags are a result's flags: letters as sent, arrows, words for those who hear.
func (f *frame) Flags(r *clinical.Result) template.HTML {
	var b strings.Builder
	for _, x := range r.Flags {
		b.WriteString(string(drawFlag(x)))
	}
	return template.HTML(b.String())
}

func drawFlag(x clinical.Flag) template.HTML {
	class := strings.TrimSpace("f " + x.Weight.Class())
	out := html(` <b class="`, class, `">`, x.Letters)
	if x.Arrow != "" {
		out += html(` <i aria-hidden="true">`, x.Arrow, `</i>`)
	}
	if x.Words != "" {
		out += html(`<span class="v"> `, x.Words, `</span>`)
	}
	return out + `</b>`
}

// Value is a result's value as sent, with its unit.
func (f *frame) Value(r *clinical.Result) template.HTML {
	text, unit := r.Value.Text, r.Value.Unit
	switch {
	case r.Status.Withdrawn():
		return html(`<span class="q">`, f.v.words.say("result.withdrawn"), `</span>`)
	case r.Status.Cancelled():
		return html(`<span class="q">`, f.v.words.say("result.cancelled"), `</span>`)
	case r.Value.Absent && text == "":
		return html(`<span class="q">`, f.v.words.say("result.novalue"), `</span>`)
	case r.Value.Absent:
		return html(`<span class="q">`, text, `</span>`)
	}
	if unit == "" {
		return html(`<b class="n">`, text, `</b>`)
	}
	return html(`<b class="n">`, text, `</b> <span class="u">`, unit, `</span>`)
}

// Struck is a withdrawn result: its value struck through, and said so.
func (f *frame) Struck(r *clinical.Result) template.HTML {
	return html(`<s>`, strings.TrimSpace(r.Value.Text+" "+r.Value.Unit), `</s> <span class="k">`, f.v.words.say("result.withdrawn"), `</span>`)
}

// ColumnHead is a collection time at the head of a grid's column.
func (f *frame) ColumnHead(t clinical.Time) template.HTML {
	switch {
	case t.IsZero():
		return html(`<span class="q">`, f.v.words.say("time.none"), `</span>`)
	case t.Clock() == "":
		return html(`<time datetime="`, t.Machine(), `">`, t.Date(), `</time>`)
	}
	return html(`<time datetime="`, t.Machine(), `">`, t.Date(), ` <span class="q">`, t.Clock()+" "+t.Zone(f.v.Zone), `</span></time>`)
}

// Cell is one cell of the grid: what a test gave at one time. The unit is left
// to the row's head when the row has one.
func (f *frame) Cell(all []*clinical.Result, unit string) template.HTML {
	if len(all) == 0 {
		return "<td>"
	}
	var w clinical.Weight
	for _, r := range all {
		if r.Counts() {
			w = max(w, r.Flag().Weight)
		}
	}
	out := template.HTML("<td>")
	if w > clinical.Plain {
		out = html(`<td class="`, w.Class(), `">`)
	}
	for i, r := range all {
		if i > 0 {
			out += "<br>"
		}
		switch {
		case !r.Counts() || r.Value.Unit != unit:
			if r.Long() {
				out += html(`<span class="q">`, f.v.words.say("result.long"), `</span>`)
				break
			}
			out += f.Value(r)
		case r.Long():
			out += html(`<span class="q">`, f.v.words.say("result.long"), `</span>`)
		default:
			out += html(`<b class="n">`, r.Value.Text, `</b>`)
		}
		if r.Counts() {
			out += f.Flags(r)
		}
		out += f.Marks(r)
	}
	return out
}

// Marks are the words beside a value: preliminary, corrected, note, differs, not
// shown to the patient.
func (f *frame) Marks(r *clinical.Result) template.HTML {
	var b strings.Builder
	mark := func(key string) {
		b.WriteString(string(html(` <span class="k">`, f.v.words.say(key), `</span>`)))
	}
	switch {
	case r.Status.Preliminary():
		mark("mark.preliminary")
	case r.Status.Corrected():
		mark("mark.corrected")
	}
	if r.Differs {
		mark("mark.differs")
	}
	if f.Chart.Unshown(r) {
		mark("mark.unshown")
	}
	if len(r.Notes) > 0 {
		b.WriteString(string(html(` <span class="q">`, f.v.words.say("mark.note"), `</span>`)))
	}
	return template.HTML(b.String())
}

// StatusWord is the word for a status, when one is worth saying.
func (f *frame) StatusWord(s clinical.Status) string {
	return f.v.words.or("status."+string(s), string(s))
}

// CodeWord is the word for a code where the catalogue has one, else itself.
func (f *frame) CodeWord(code string) string { return f.v.words.or("status."+code, code) }

// ContactWord is the word for a kind of contact.
func (f *frame) ContactWord(kind string) string { return f.v.words.or("contact."+kind, kind) }

// Mark is the word for a status that a reader must know of.
func (f *frame) Mark(s clinical.Status) string {
	switch {
	case s.Preliminary(), s.Corrected(), s.Cancelled(), s.Withdrawn():
		return f.StatusWord(s)
	}
	return ""
}

// Tests, Rows and MedicineRows give a shared part of the templates its rows
// together with the frame it draws them by.
func (f *frame) Tests(all []*clinical.Test) any {
	return struct {
		Frame *frame
		Tests []*clinical.Test
	}{f, all}
}

func (f *frame) Rows(all []clinical.Appointment, caption string) any {
	return struct {
		Frame        *frame
		Appointments []clinical.Appointment
		Caption      string
	}{f, all, caption}
}

func (f *frame) MedicineRows(all []clinical.Medicine, caption string) any {
	return struct {
		Frame     *frame
		Medicines []clinical.Medicine
		Caption   string
	}{f, all, caption}
}

// Range is the reference range a result was given with.
func (f *frame) Range(r *clinical.Result) string {
	texts := make([]string, len(r.Ranges))
	for i, x := range r.Ranges {
		texts[i] = x.Text
	}
	return strings.Join(texts, "; ")
}

// TestLink is the address of a test's trend.
func (f *frame) TestLink(t *clinical.Test) string {
	return f.Base + "/results/" + f.v.handles.item(f.session.Key, "test", t.Key)
}

// ItemLink is the address of a report or document.
func (f *frame) ItemLink(section string, r fhir.Ref) string {
	return f.Base + "/" + section + "/" + f.v.handles.item(f.session.Key, r.Type, r.ID)
}

// DocumentLink is ItemLink for the documents list, which holds two types.
func (f *frame) DocumentLink(d *clinical.Document) string { return f.ItemLink("documents", d.Ref) }

// ReportLink is ItemLink for reports.
func (f *frame) ReportLink(r *clinical.Report) string { return f.ItemLink("reports", r.Ref) }

// Number is the person's number as it stands in the banner.
func (f *frame) Number() clinical.Number { return f.Person.Number() }

// Sex is the person's sex in words.
func (f *frame) Sex(p *clinical.Person) string {
	return f.v.words.or("sex."+p.Sex, f.v.words.say("sex.none"))
}

// Allergies is what the banner says of them: the first, and how many more.
func (f *frame) Allergies() string {
	var first string
	more := 0
	for _, a := range f.Chart.Allergies {
		switch {
		case !a.Holds():
		case first == "":
			first = a.Name
			if a.Reactions != "" {
				first += " (" + a.Reactions + ")"
			}
			if a.Severity != "" {
				first += ", " + a.Severity
			}
		default:
			more++
		}
	}
	switch {
	case first == "":
		return f.v.words.say("allergies.none")
	case more > 0:
		return f.v.words.say("allergies.more", first, more)
	}
	return first
}

// html joins trusted markup (even places) with texts to be escaped (odd places).
func html(parts ...string) template.HTML {
	var b strings.Builder
	for i, p := range parts {
		if i%2 == 1 {
			template.HTMLEscape(&b, []byte(p))
		} else {
			b.WriteString(p)
		}
	}
	return template.HTML(b.String())
}
