package clinical

import (
	"strings"

	"firebreak/fhir"
)

// The readers below take FHIR's data types out of a resource's bytes. An
// absent element gives a zero value.

// Concept is a coded idea as its source named it.
type Concept struct {
	Text  string
	Codes []Code
}

// Code is one coding of a concept.
type Code struct{ System, Code, Display string }

func concept(n fhir.Node) Concept {
	var c Concept
	for name, v := range n.Members() {
		switch name {
		case "text":
			c.Text = v.Text()
		case "coding":
			for item := range v.Items() {
				c.Codes = append(c.Codes, coding(item))
			}
		}
	}
	return c
}

func concepts(n fhir.Node) []Concept {
	var all []Concept
	for item := range n.Items() {
		all = append(all, concept(item))
	}
	return all
}

func coding(n fhir.Node) Code {
	var c Code
	for name, v := range n.Members() {
		switch name {
		case "system":
			c.System = v.Text()
		case "code":
			c.Code = v.Text()
		case "display":
			c.Display = v.Text()
		}
	}
	return c
}

// Name is what to call it: the text, else the first display, else the first code.
func (c Concept) Name() string {
	if c.Text != "" {
		return c.Text
	}
	for _, k := range c.Codes {
		if k.Display != "" {
			return k.Display
		}
	}
	for _, k := range c.Codes {
		if k.Code != "" {
			return k.Code
		}
	}
	return ""
}

// Code is the code in the given system, or "".
func (c Concept) Code(system string) string {
	for _, k := range c.Codes {
		if k.System == system {
			return k.Code
		}
	}
	return ""
}

// First is the first code in any system, or "".
func (c Concept) First() string {
	for _, k := range c.Codes {
		if k.Code != "" {
			return k.Code
		}
	}
	return ""
}

func (c Concept) IsZero() bool { return c.Text == "" && len(c.Codes) == 0 }

// names joins what several concepts are called, leaving out repeats.
func names(cs []Concept) string {
	var all []string
	for _, c := range cs {
		if n := c.Name(); n != "" && !containsFold(all, n) {
			all = append(all, n)
		}
	}
	return strings.Join(all, ", ")
}

func containsFold(all []string, s string) bool {
	for _, a := range all {
		if strings.EqualFold(a, s) {
			return true
		}
	}
	return false
}

func span(n fhir.Node) Span {
	return Span{ParseTime(n.Get("start").Text()), ParseTime(n.Get("end").Text())}
}

// anyTime is the first of the named elements that is present; a Period gives
// its start.
func anyTime(r fhir.Resource, elements ...string) Time {
	for _, e := range elements {
		n := r.Get(e)
		switch n.Kind() {
		case '"':
			return ParseTime(n.Text())
		case '{':
			if s := span(n); !s.Start.IsZero() {
				return s.Start
			} else if !s.End.IsZero() {
				return s.End
			}
		}
	}
	return Time{}
}

// personName is a HumanName as a clinician writes it: "AYAN, Test". The name
// in use comes before an old or maiden one.
func personName(n fhir.Node) string {
	var best fhir.Node
	rank := 0
	for item := range n.Items() {
		r := 3
		switch item.Get("use").Text() {
		case "official":
			r = 5
		case "usual":
			r = 4
		case "old", "maiden":
			r = 1
		case "temp", "nickname", "anonymous":
			r = 2
		}
		if r > rank {
			best, rank = item, r
		}
	}
	family := strings.ToUpper(best.Get("family").Text())
	var given []string
	for g := range best.Get("given").Items() {
		given = append(given, g.Text())
	}
	switch {
	case family != "" && len(given) > 0:
		return family + ", " + strings.Join(given, " ")
	case family != "":
		return family
	case len(given) > 0:
		return strings.Join(given, " ")
	}
	return best.Get("text").Text()
}

// calledName is a HumanName as one speaks it: "Dr Kathleen Woolfson".
func calledName(n fhir.Node) string {
	for item := range n.Items() {
		if t := item.Get("text").Text(); t != "" {
			return t
		}
		var words []string
		for _, part := range []string{"prefix", "given", "family", "suffix"} {
			for w := range item.Get(part).Items() {
				words = append(words, w.Text())
			}
		}
		if len(words) > 0 {
			return strings.Join(words, " ")
		}
	}
	return ""
}

// Contact is one way to reach someone.
type Contact struct{ Kind, Value string }

func contacts(n fhir.Node) []Contact {
	var all []Contact
	for item := range n.Items() {
		if v := item.Get("value").Text(); v != "" && !item.Get("use").Is("old") {
			kind := item.Get("system").Text()
			if kind == "" {
				kind = "phone"
			}
			all = append(all, Contact{kind, v})
		}
	}
	return all
}

func address(n fhir.Node) string {
	for item := range n.Items() {
		if item.Get("use").Is("old") {
			continue
		}
		if t := item.Get("text").Text(); t != "" {
			return t
		}
		var parts []string
		for _, e := range []string{"line", "city", "district", "state", "postalCode", "country"} {
			for v := range item.Get(e).Items() {
				if s := v.Text(); s != "" {
					parts = append(parts, s)
				}
			}
		}
		if len(parts) > 0 {
			return strings.Join(parts, ", ")
		}
	}
	return ""
}

// notes are the texts of annotations.
func notes(n fhir.Node) []string {
	var all []string
	for item := range n.Items() {
		if t := strings.TrimSpace(item.Get("text").Text()); t != "" {
			all = append(all, t)
		}
	}
	return all
}

// ref is what a Reference element points to within the chart.
func ref(n fhir.Node) fhir.Ref {
	r, _ := fhir.ParseRef(n.Get("reference").Text())
	return r
}

// called is the name of what a Reference points to: of the resource itself
// when it is in the view, else the display that came with the reference.
func (c *Chart) called(n fhir.Node) string {
	if r := ref(n); !r.IsZero() {
		if x, ok := c.src.Get(r); ok {
			if name := c.nameOf(x.Content()); name != "" {
				return name
			}
		}
	}
	return n.Get("display").Text()
}

func (c *Chart) nameOf(r fhir.Resource) string {
	switch r.Type() {
	case "Practitioner", "RelatedPerson", "Patient", "Person":
		return calledName(r.Get("name"))
	case "PractitionerRole":
		if who := c.called(r.Get("practitioner")); who != "" {
			return who
		}
		return c.called(r.Get("organization"))
	case "Organization", "Location", "CareTeam", "HealthcareService":
		return r.Get("name").Text()
	case "Device":
		return r.Root().At("deviceName.name").Text()
	case "Medication":
		return concept(r.Get("code")).Name()
	}
	return ""
}

// everyone joins the names of a list of references, leaving out repeats.
func (c *Chart) everyone(n fhir.Node) string {
	var all []string
	for item := range n.Items() {
		if name := c.called(item); name != "" && !containsFold(all, name) {
			all = append(all, name)
		}
	}
	return strings.Join(all, ", ")
}
