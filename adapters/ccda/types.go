package ccda

import "strings"

// II is an instance identifier. Root is an OID or UUID.
type II struct{ Root, Extension, Null, Authority string }

// IIOf reads an II; the zero II of nil.
func IIOf(e *Element) II {
	return II{e.Attr("root"), e.Attr("extension"), e.Null(), e.Attr("assigningAuthorityName")}
}

// IIs reads the children of that name.
func IIs(e *Element, name string) []II {
	var all []II
	for k := range e.All(name) {
		all = append(all, IIOf(k))
	}
	return all
}

// CD is a coded value: CD, CE, CV, CS, CO.
type CD struct {
	Code, System, SystemName, Version, Display string
	Null                                       string
	Original                                   string // originalText, its reference resolved
	Translations                               []CD
	Qualifiers                                 []Qualifier
}

// Qualifier refines a CD: laterality, severity.
type Qualifier struct{ Name, Value CD }

// IsZero tells whether nothing is said, not even why.
func (c CD) IsZero() bool {
	return c.Code == "" && c.Display == "" && c.Original == "" && c.Null == "" && len(c.Translations) == 0
}

// Known tells whether there is a code or words.
func (c CD) Known() bool {
	if c.Code != "" || c.Display != "" || c.Original != "" {
		return true
	}
	for _, t := range c.Translations {
		if t.Known() {
			return true
		}
	}
	return false
}

// Is tells whether c, or a translation, is that code, of that system when c names one.
func (c CD) Is(system, code string) bool {
	if c.Code == code && (c.System == system || c.System == "") {
		return true
	}
	for _, t := range c.Translations {
		if t.Is(system, code) {
			return true
		}
	}
	return false
}

// CD reads a coded value; the zero CD of nil. Translations inside translations are
// translations.
func (d *Document) CD(e *Element) CD { return d.cd(e, 3) }

func (d *Document) cd(e *Element, deep int) CD {
	if e == nil {
		return CD{}
	}
	c := CD{
		Code: e.Attr("code"), System: e.Attr("codeSystem"), SystemName: e.Attr("codeSystemName"), Version: e.Attr("codeSystemVersion"),
		Display: e.Attr("displayName"), Null: e.Null(),
	}
	for _, k := range e.Kids {
		switch {
		case k.Name == "originalText":
			c.Original = d.Words(k)
		case k.Name == "translation" && deep > 0:
			t := d.cd(k, deep-1)
			below := t.Translations
			t.Translations = nil
			c.Translations = append(append(c.Translations, t), below...)
		case k.Name == "qualifier" && deep > 0:
			c.Qualifiers = append(c.Qualifiers, Qualifier{d.cd(k.Child("name"), 0), d.cd(k.Child("value"), 0)})
		}
	}
	return c
}

// Interval is an IVL_TS or a TS; its parts are TS as sent.
type Interval struct {
	Value, Low, High, Center string
	LowNull, HighNull, Null  string
	Width                    PQ
	Known                    bool // any time in it
}

// IntervalOf reads an IVL_TS or TS; the zero Interval of nil.
func IntervalOf(e *Element) Interval {
	low, high := e.Child("low"), e.Child("high")
	i := Interval{
		Value: e.Attr("value"), Low: low.Attr("value"), High: high.Attr("value"), Center: e.Child("center").Attr("value"),
		LowNull: low.Null(), HighNull: high.Null(), Null: e.Null(), Width: PQOf(e.Child("width")),
	}
	i.Known = i.Value != "" || i.Low != "" || i.High != "" || i.Center != ""
	return i
}

// Start is when it began or was.
func (i Interval) Start() string {
	for _, s := range [...]string{i.Value, i.Low, i.Center} {
		if s != "" {
			return s
		}
	}
	return ""
}

// PQ is a physical quantity: PQ, INT, REAL, MO. Value is the number as sent.
type PQ struct {
	Value, Unit, Null string
	Open              bool // as an end of an interval: not inclusive
	Words             string
}

// PQOf reads a quantity; the zero PQ of nil. Where the value is in a translation alone, it is
// taken from there.
func PQOf(e *Element) PQ {
	q := PQ{Value: e.Attr("value"), Unit: e.Attr("unit"), Null: e.Null(), Open: e.Attr("inclusive") == "false"}
	if unit := e.Attr("currency"); unit != "" {
		q.Unit = unit
	}
	if t := e.Child("translation"); q.Value == "" && t != nil {
		q.Value, q.Words = t.Attr("value"), strings.TrimSpace(Plain(t.Child("originalText")))
		if q.Words == "" {
			q.Words = t.Attr("displayName")
		}
		if q.Words == "" {
			q.Words = t.Attr("code")
		}
	}
	return q
}

// Known tells whether there is a number.
func (q PQ) Known() bool { return q.Value != "" }

// Range is an IVL_PQ.
type Range struct{ Value, Low, High PQ }

// RangeOf reads an IVL_PQ or PQ.
func RangeOf(e *Element) Range {
	return Range{PQOf(e), PQOf(e.Child("low")), PQOf(e.Child("high"))}
}

// Name is a PN, EN or ON.
type Name struct {
	Use                           []string
	Prefix, Given, Family, Suffix []string
	Called                        []string // given names by which the person is called (qualifier CL)
	Text                          string   // where it has no parts
	Valid                         Interval
	Null                          string
}

// NameOf reads a name; the zero Name of nil.
func NameOf(e *Element) Name {
	n := Name{Use: strings.Fields(e.Attr("use")), Null: e.Null(), Valid: IntervalOf(e.Child("validTime"))}
	if e == nil {
		return n
	}
	for _, k := range e.Kids {
		words := Plain(k)
		if words == "" {
			continue
		}
		switch k.Name {
		case "prefix":
			n.Prefix = append(n.Prefix, words)
		case "given":
			if strings.Contains(" "+k.Attr("qualifier")+" ", " CL ") {
				n.Called = append(n.Called, words)
			} else {
				n.Given = append(n.Given, words)
			}
		case "family":
			n.Family = append(n.Family, words)
		case "suffix":
			n.Suffix = append(n.Suffix, words)
		}
	}
	if n.Given == nil && n.Family == nil {
		n.Text = Plain(e)
	}
	return n
}

// Address is an AD.
type Address struct {
	Use                                             []string
	Lines                                           []string
	City, State, Zip, Country, County, Text, Census string
	Valid                                           Interval
	Null                                            string
}

// AddressOf reads an address; the zero Address of nil.
func AddressOf(e *Element) Address {
	a := Address{Use: strings.Fields(e.Attr("use")), Null: e.Null(), Valid: IntervalOf(e.Child("useablePeriod"))}
	if e == nil {
		return a
	}
	for _, k := range e.Kids {
		words := Plain(k)
		switch k.Name {
		case "streetAddressLine", "additionalLocator", "deliveryAddressLine", "postBox", "careOf", "unitID":
			if words != "" {
				a.Lines = append(a.Lines, words)
			}
		case "streetName":
			line := strings.TrimSpace(Plain(e.Child("houseNumber")) + " " + words)
			if line != "" {
				a.Lines = append(a.Lines, line)
			}
		case "city":
			a.City = words
		case "state":
			a.State = words
		case "postalCode":
			a.Zip = words
		case "country":
			a.Country = words
		case "county":
			a.County = words
		case "censusTract":
			a.Census = words
		case "":
			a.Text = strings.TrimSpace(a.Text + " " + strings.TrimSpace(k.Text))
		}
	}
	return a
}

// Telecom is a TEL: Value is a URL, "tel:+1-555", or what stands in its place.
type Telecom struct {
	Use         []string
	Value, Null string
}

// TelecomOf reads a TEL.
func TelecomOf(e *Element) Telecom {
	return Telecom{strings.Fields(e.Attr("use")), e.Attr("value"), e.Null()}
}

// ED is encapsulated data: text, or a file in base64.
type ED struct {
	MediaType string
	Base64    bool
	Data      string // text, or base64 as sent
	Reference string // where the content lies: a URL, or "#id" into the narrative
}

// EDOf reads an ED, of which text is taken as it stands.
func EDOf(e *Element) ED {
	d := ED{MediaType: e.Attr("mediaType"), Base64: strings.EqualFold(e.Attr("representation"), "B64"), Reference: e.Child("reference").Attr("value")}
	if d.Base64 {
		d.Data = strings.Join(strings.Fields(raw(e)), "")
	} else {
		d.Data = Text(e)
	}
	return d
}
