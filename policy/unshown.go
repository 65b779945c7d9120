package policy

import (
	"iter"

	"firebreak/fhir"
)

// openRelease is what the policy asks for before patients see results; nil where no
// patient can come in, or none has to wait.
func (p *Policy) openRelease() *release {
	a := p.file.Audiences["patient"]
	shut := a.Enabled != nil && !*a.Enabled
	if a.As != "" {
		a = p.file.Audiences[a.As]
	}
	if shut || a.Enabled != nil && !*a.Enabled {
		return nil
	}
	return a.Release
}

// Unshown tells whether a result that this view shows is one that the patient
// has not been shown, because nobody has reviewed it as it is now (MY-18). It is
// read from what the view shows and from nothing else, so that it tells of
// nothing that is withheld: a result without it may be withheld from the patient
// all the same. Where patients have no way in, it is said of nothing.
func (v *View) Unshown(ref fhir.Ref) bool {
	if v.patients == nil || !results[ref.Type] {
		return false
	}
	r, ok := v.Get(ref)
	if !ok {
		return false
	}
	v.reviewing.Do(func() { v.shown = reviewsOf(v.says(), v.patients.On) })
	return !v.shown.reviewed(r.Content(), r.Recorded())
}

// says are the current versions as the view shows them.
func (v *View) says() iter.Seq[statement] {
	return func(yield func(statement) bool) {
		for _, r := range v.all {
			x := statement{res: r.Content(), recorded: r.Recorded(), source: r.Source()}
			for _, element := range []string{"result", "hasMember"} {
				for m := range x.res.Get(element).Items() {
					if to, ok := fhir.ParseRef(m.Get("reference").Text()); ok {
						x.members = append(x.members, to)
					}
				}
			}
			if !yield(x) {
				return
			}
		}
	}
}
