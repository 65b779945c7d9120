package clinical

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"firebreak/fhir"
)

// Person is whose chart it is: what the banner says on every page.
type Person struct {
	Origin
	Name     string // "AYAN, Test"
	Others   []string
	Birth    Time
	Age      string // "55 y"; at death for one who died
	Sex      string // FHIR code: male, female, other, unknown; empty when not told
	Numbers  []Number
	Deceased bool
	Died     Time // may be zero though Deceased
	Joined   int  // records that are read as this one; 0 and 1: no other
	Double   bool // its source says that it may be the same person as another record
	Contacts []Contact
	Address  string
	Language string
	Doctor   string // general practitioner
}

// Number is one identifier of a person.
type Number struct{ Label, Value string }

// Number is the one number that stands in the banner: a health number before
// a hospital's own.
func (p Person) Number() Number {
	if len(p.Numbers) == 0 {
		return Number{}
	}
	return p.Numbers[0]
}

// numberLabels are the words' keys and the order for kinds of identifiers; what is
// not listed comes after, under the name its source gave it.
//
// Source: http://terminology.hl7.org/CodeSystem/v2-0203.
var numberLabels = []struct{ code, key string }{
	{"JHN", "number.phn"}, {"HC", "number.health-card"}, {"NH", "number.health"}, {"NHSNMBR", "number.nhs"}, {"NNGBR", "number.nhs"},
	{"NI", "number.national"}, {"PI", "number.patient"}, {"MR", "number.mrn"}, {"MRN", "number.mrn"}, {"PT", "number.patient"},
}

func rankNumber(n fhir.Node, say Words) (rank int, label string) {
	kind := concept(n.Get("type"))
	for i, l := range numberLabels {
		for _, k := range kind.Codes {
			if strings.EqualFold(k.Code, l.code) {
				return i, say(l.key)
			}
		}
	}
	label = kind.Name()
	if label == "" {
		label = systemName(n.Get("system").Text())
	}
	return len(numberLabels), cmp.Or(label, say("number.other"))
}

func readNumbers(n fhir.Node, say Words) []Number {
	type ranked struct {
		Number
		rank int
	}
	var all []ranked
	for item := range n.Items() {
		v := item.Get("value").Text()
		if v == "" || item.Get("use").Is("old") {
			continue
		}
		rank, label := rankNumber(item, say)
		if !slices.ContainsFunc(all, func(r ranked) bool { return r.Value == v && r.Label == label }) {
			all = append(all, ranked{Number{label, v}, rank})
		}
	}
	slices.SortStableFunc(all, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	numbers := make([]Number, len(all))
	for i, r := range all {
		numbers[i] = r.Number
	}
	return numbers
}

// ReadPerson reads what a Patient resource alone tells, for a list of people.
func ReadPerson(r fhir.Resource, now time.Time, say Words) Person {
	p := Person{
		Name: personName(r.Get("name")), Birth: ParseTime(r.Get("birthDate").Text()), Sex: r.Get("gender").Text(),
		Numbers: readNumbers(r.Get("identifier"), say), Contacts: contacts(r.Get("telecom")), Address: address(r.Get("address")),
	}
	p.Ref = r.Ref()
	for item := range r.Get("name").Items() {
		if n := personName(item); n != "" && n != p.Name && !slices.Contains(p.Others, n) {
			p.Others = append(p.Others, n)
		}
	}
	if d := r.Get("deceasedDateTime"); !d.IsZero() {
		p.Deceased, p.Died = true, ParseTime(d.Text())
	}
	if r.Get("deceasedBoolean").Is("true") {
		p.Deceased = true
	}
	on := now
	if p.Deceased {
		on = p.Died.At
	}
	if !on.IsZero() {
		p.Age = age(p.Birth, on, say)
	}
	for link := range r.Get("link").Items() {
		p.Double = p.Double || link.Get("type").Is("seealso")
	}
	for item := range r.Get("communication").Items() {
		if p.Language == "" || item.Get("preferred").Is("true") {
			p.Language = concept(item.Get("language")).Name()
		}
	}
	return p
}

func (c *Chart) readPerson() {
	x, ok := c.src.Patient()
	if !ok {
		return
	}
	r := x.Content()
	c.Person = ReadPerson(r, c.now, c.say)
	c.Person.Origin = originOf(x)
	c.Person.Doctor = c.everyone(r.Get("generalPractitioner"))
	all := c.src.Of("Patient")
	c.Person.Joined = len(all)
	for _, other := range all { // records merged into this one
		for _, n := range readNumbers(other.Content().Get("identifier"), c.say) {
			if !slices.Contains(c.Person.Numbers, n) {
				c.Person.Numbers = append(c.Person.Numbers, n)
			}
		}
	}
}

// Related is a person beside the patient: family, next of kin, a contact.
type Related struct {
	Origin
	Name         string
	Relationship string
	Contacts     []Contact
	Period       Span
}

// Carer is someone who gives care.
type Carer struct {
	Name  string
	Roles []string
	Last  Time // when last named in a visit, appointment or report
}

// Coverage is who pays.
type Coverage struct {
	Origin
	Payer, Kind, Number string
	Period              Span
}

func (c *Chart) readPeople() {
	for _, x := range c.src.Of("RelatedPerson") {
		r := x.Content()
		if r.Get("active").Is("false") {
			continue
		}
		c.Related = append(c.Related, Related{
			Origin: originOf(x), Name: calledName(r.Get("name")), Relationship: names(concepts(r.Get("relationship"))),
			Contacts: contacts(r.Get("telecom")), Period: span(r.Get("period")),
		})
	}
	if x, ok := c.src.Patient(); ok {
		for item := range x.Content().Get("contact").Items() {
			rel := Related{
				Origin: originOf(x), Name: calledName(item.Get("name")), Relationship: names(concepts(item.Get("relationship"))),
				Contacts: contacts(item.Get("telecom")), Period: span(item.Get("period")),
			}
			if !slices.ContainsFunc(c.Related, func(o Related) bool { return strings.EqualFold(o.Name, rel.Name) }) {
				c.Related = append(c.Related, rel)
			}
		}
	}
	slices.SortStableFunc(c.Related, byText(func(r Related) string { return r.Name }))
	c.readCarers()
	for _, x := range c.src.Of("Coverage") {
		r := x.Content()
		c.Coverages = append(c.Coverages, Coverage{
			Origin: originOf(x), Payer: c.everyone(r.Get("payor")), Kind: concept(r.Get("type")).Name(),
			Number: r.Get("subscriberId").Text(), Period: span(r.Get("period")),
		})
	}
}

// readCarers gathers the people named as giving care, once each.
func (c *Chart) readCarers() {
	at := map[string]int{}
	add := func(name, role string, when Time) {
		if name == "" {
			return
		}
		key := strings.ToLower(name)
		i, ok := at[key]
		if !ok {
			i = len(c.Carers)
			at[key] = i
			c.Carers = append(c.Carers, Carer{Name: name})
		}
		k := &c.Carers[i]
		if role != "" && !containsFold(k.Roles, role) {
			k.Roles = append(k.Roles, role)
		}
		if when.At.After(k.Last.At) && !when.At.After(c.now) {
			k.Last = when
		}
	}
	add(c.Person.Doctor, c.say("carer.general-practitioner"), Time{})
	for _, v := range c.Visits {
		for _, p := range v.People {
			add(p.Name, p.Role, v.Period.Start)
		}
	}
	for _, a := range c.Appointments {
		for _, p := range a.People {
			add(p.Name, p.Role, a.Start)
		}
	}
	for _, x := range c.src.Of("CareTeam") {
		for p := range x.Content().Get("participant").Items() {
			if t := ref(p.Get("member")).Type; t != "Patient" && t != "RelatedPerson" {
				add(c.called(p.Get("member")), names(concepts(p.Get("role"))), Time{})
			}
		}
	}
	slices.SortStableFunc(c.Carers, func(a, b Carer) int {
		return cmp.Or(newer(a.Last, b.Last), cmp.Compare(a.Name, b.Name))
	})
}
