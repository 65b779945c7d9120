package record

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/fhir"
)

// Look is one sitting of somebody over one patient's record (PX-12).
type Look struct {
	From, Until time.Time
	Audience    access.Audience // empty: an operator of this gateway
	Name        string          // of the person or the client
	Role        access.Role     // of a person
	Place       string          // worksite
	For         string          // name of the practitioner acted for
	App         string          // id of the app that was used
	What        []string        // pages and types of resources, each once, in the order of time
}

// sitting is how long somebody may do nothing between two requests of one Look.
const sitting = 30 * time.Minute

// Looked says who looked at a patient's record, by id or number, newest first,
// and where to go on for older ones; 0 is the end. It is what the patient may be
// told: a look at what is withheld from the patient is left out, as it would be
// missing if that had never come. That a chart was opened is told, and not what
// was in it; emergency access is told as any other. A patient who may see nothing
// is fhir.NotFound, as is nobody.
func (o *Office) Looked(ctx context.Context, w Watch, patient string, before int64) ([]Look, int64, error) {
	if w.Officer.IsZero() {
		return nil, 0, errNoOfficer
	}
	ch, err := o.r.oneChart(ctx, audit.Event{Action: audit.Oversee, Caller: w.Officer.Caller(), Detail: w.Page, Address: w.Address, Request: w.Request}, patient)
	if err != nil {
		return nil, 0, err
	}
	told := o.reader.Policy().ToldOf(ch, o.r.c.Now())
	if !told[ch.Patient] {
		return nil, 0, fhir.NotFound()
	}
	about := audit.About{Before: before}
	members, err := o.charts(ctx, ch.Patient.ID)
	if err != nil {
		return nil, 0, err
	}
	for _, m := range members {
		about.Patients = append(about.Patients, "Patient/"+m)
	}
	entries, more, err := o.r.c.Log.Find(ctx, about, maxLogged)
	if err != nil {
		return nil, 0, err
	}
	if before = 0; more {
		before = entries[len(entries)-1].N
	}
	return looks(entries, told), before, nil
}

// looks makes sittings of entries, both newest first. told is what the patient
// may know of.
func looks(entries []audit.Entry, told map[fhir.Ref]bool) []Look {
	type who struct {
		audience, person, subject, forWhom, worksite, client string
	}
	open := map[who]int{} // index of the last sitting
	var all []Look
	for _, e := range entries {
		what := seen(e, told)
		if what == nil {
			continue
		}
		by := who{e.Audience, e.Person, "", e.For, e.Worksite, e.Client}
		if e.Person == "" {
			by.subject = e.Subject
		}
		i, ok := open[by]
		if !ok || all[i].From.Sub(e.Time) > sitting {
			i = len(all)
			open[by] = i
			x := Look{Until: e.Time, Audience: access.Audience(e.Audience), Name: cmp.Or(e.Name, e.Person, e.Client), Role: access.Role(e.Role), Place: cmp.Or(e.Place, e.Worksite), For: cmp.Or(e.ForName, e.For)}
			if e.Person != "" {
				x.App = e.Client
			}
			all = append(all, x)
		}
		all[i].From = e.Time
		all[i].What = append(all[i].What, what...)
	}
	for i := range all {
		slices.Reverse(all[i].What)
		known := map[string]bool{}
		all[i].What = slices.DeleteFunc(all[i].What, func(s string) bool {
			again := known[s]
			known[s] = true
			return again
		})
	}
	return all
}

// seen is what an entry tells the patient: a page, or the types of what was
// shown and may be known of. Nil is an entry that is not told.
func seen(e audit.Entry, told map[fhir.Ref]bool) []string {
	if e.Refused {
		return nil
	}
	switch e.Action {
	case audit.Page, audit.Print:
		// The name of the page alone: what follows it says by which emergency.
		if page, _, _ := strings.Cut(e.Detail, ","); page != "glass" {
			return []string{page}
		}
	case audit.Find:
		for _, x := range e.Entities {
			if ref, ok := fhir.ParseRef(x); ok && told[ref] {
				return []string{string(audit.Find)}
			}
		}
	case audit.Read, audit.VRead, audit.HistoryA, audit.Search:
		var types []string
		for _, x := range slices.Backward(e.Entities) {
			if ref, ok := fhir.ParseRef(x); ok && told[ref] {
				types = append(types, ref.Type)
			}
		}
		return types
	case audit.Oversee, audit.Operate:
		// A list of results: that one of this patient is on it is told of what the patient may know of.
		if len(e.Entities) == 0 || slices.ContainsFunc(e.Entities, func(x string) bool {
			ref, ok := fhir.ParseRef(x)
			return ok && told[ref]
		}) {
			return []string{string(e.Action)}
		}
	}
	return nil
}
