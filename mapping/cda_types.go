package mapping

import (
	"strings"

	"firebreak/adapters/ccda"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// moments reads a TS. Some systems write it as XML Schema does.
func (c *clinical) moments(ts string) (moment, bool) {
	if ts == "" {
		return moment{}, false
	}
	if len(ts) >= 10 && ts[4] == '-' && ts[7] == '-' {
		date, clock := ts[:10], ts[10:]
		zone := ""
		if i := strings.LastIndexAny(clock, "+-Z"); i > 0 {
			clock, zone = clock[:i], strings.TrimSuffix(clock[i:], "Z")
		}
		ts = strings.NewReplacer("-", "", ":", "", "T", "", " ", "").Replace(date+clock) + strings.ReplaceAll(zone, ":", "")
	}
	return c.feed.moment(ts)
}

// timeOf is a TS as a dateTime; nil when it is none.
func (c *clinical) timeOf(ts string) *string {
	if m, ok := c.moments(ts); ok {
		return &m.text
	}
	return nil
}

func (c *clinical) dateOf(ts string) *string {
	if m, ok := c.moments(ts); ok {
		return p(m.date())
	}
	return nil
}

// spanOf is an interval as a time or a period: a time where it is one or both ends are
// the same.
func (c *clinical) spanOf(e *ccda.Element) (at *string, span *r4.Period) {
	i := ccda.IntervalOf(e)
	low, high := c.timeOf(i.Low), c.timeOf(i.High)
	switch {
	case i.Value != "" || i.Low == "" && i.High == "":
		return c.timeOf(or(i.Value, i.Center)), nil
	case low != nil && high != nil && *low == *high:
		return low, nil
	}
	return nil, period(low, high)
}

// periodOf is an interval as a period, of which a point is the beginning.
func (c *clinical) periodOf(e *ccda.Element) *r4.Period {
	i := ccda.IntervalOf(e)
	return period(c.timeOf(or(i.Low, i.Value)), c.timeOf(i.High))
}

// quantityOf maps a PQ, INT, REAL or MO; nil when it has no number. A unit is UCUM, as
// the data type says, when it has the form of it.
func quantityOf(q ccda.PQ) *r4.Quantity {
	if !q.Known() {
		return nil
	}
	out := &r4.Quantity{}
	n, same, ok := number(q.Value)
	if !ok {
		var sign string
		if sign, n, same, ok = compared(q.Value); !ok {
			return nil
		}
		out.Comparator = comparator(sign)
	}
	out.Value = &n
	if !same {
		out.Extension = stringExtension("originalText", clean(q.Value))
	}
	unit := clean(q.Unit)
	out.Unit = p(or(clean(q.Words), unit))
	if unit != "" && isUnit(unit) {
		out.System, out.Code = p(ucum), &unit
	}
	return out
}

// isUnit tells whether s has the form of a UCUM unit: no blank, and of letters outside
// braces and brackets at most five in a row, unlike "TABLET" and "Puffs ".
func isUnit(s string) bool {
	run, inside := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ' || c >= 0x7f:
			return false
		case c == '{' || c == '[':
			inside++
		case c == '}' || c == ']':
			inside--
			run = 0
		case inside > 0:
		case letterASCII(c):
			if run++; run > 5 {
				return false
			}
		default:
			run = 0
		}
	}
	return inside == 0 && !commonWords[strings.ToLower(s)]
}

var commonWords = map[string]bool{"puff": true, "puffs": true, "tab": true, "tabs": true, "cap": true, "caps": true, "drop": true, "drops": true, "pill": true, "pills": true, "each": true, "unit": true, "units": true, "bpm": true, "lbs": true, "spray": true, "dose": true, "doses": true, "years": true, "year": true, "days": true, "day": true, "oz": true}

func letterASCII(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// rangeOfPQ maps an IVL_PQ: two ends are a range, one a quantity with a comparator.
//
// Source: C-CDA on FHIR, Ranges of Physical Quantities.
func rangeOfPQ(r ccda.Range) (one *r4.Quantity, both *r4.Range) {
	low, high := quantityOf(r.Low), quantityOf(r.High)
	sign := func(closed, open string, q ccda.PQ) *r4.QuantityComparator {
		if q.Open {
			return comparator(open)
		}
		return comparator(closed)
	}
	switch {
	case r.Value.Known():
		return quantityOf(r.Value), nil
	case reversed(low, high):
		return nil, nil
	case low != nil && high != nil:
		return nil, &r4.Range{Low: low, High: high}
	case low != nil:
		low.Comparator = sign(">=", ">", r.Low)
		return low, nil
	case high != nil:
		high.Comparator = sign("<=", "<", r.High)
		return high, nil
	}
	return nil, nil
}

// ratioOf maps an RTO; nil when it lacks either part.
func ratioOf(e *ccda.Element) *r4.Ratio {
	n, d := quantityOf(ccda.PQOf(e.Child("numerator"))), quantityOf(ccda.PQOf(e.Child("denominator")))
	if n == nil || d == nil {
		return nil
	}
	return &r4.Ratio{Numerator: n, Denominator: d}
}

// identifiersOf maps the ids of an element.
//
// Source: C-CDA on FHIR, CDA id to FHIR Identifier.
func (c *clinical) identifiersOf(e *ccda.Element) []r4.Identifier {
	var all []r4.Identifier
	for _, ii := range ccda.IIs(e, "id") {
		if id := c.identifierOfII(ii); id != nil {
			all = append(all, *id)
		}
	}
	return all
}

func (c *clinical) identifierOfII(ii ccda.II) *r4.Identifier {
	root, ext := clean(ii.Root), clean(ii.Extension)
	switch {
	case ii.Null != "" && ext == "":
		return nil
	case root == oidURI && ext != "":
		if i := strings.LastIndexAny(ext, "/:"); i > 0 && i < len(ext)-1 {
			return &r4.Identifier{System: p(ext[:i]), Value: p(ext[i+1:])}
		}
		return &r4.Identifier{Value: &ext}
	case ext != "":
		return &r4.Identifier{System: p(c.feed.systemOf(root, "")), Value: &ext}
	case isUUID(root):
		return &r4.Identifier{System: p(rfc3986), Value: p("urn:uuid:" + strings.ToLower(root))}
	case isOID(root) && cdaSystems[root] == "":
		return &r4.Identifier{System: p(rfc3986), Value: p("urn:oid:" + root)}
	}
	return nil
}

// called is what the first usable id of an element is, for Keys.ID; nil without one.
func called(e *ccda.Element) []string {
	for _, ii := range ccda.IIs(e, "id") {
		if ii.Extension != "" && !placeholder(ii) || ii.Extension == "" && ii.Null == "" && (isUUID(ii.Root) || isOID(ii.Root) && cdaSystems[ii.Root] == "") {
			return []string{strings.ToLower(ii.Root), ii.Extension}
		}
	}
	return nil
}

// placeholder tells whether an extension stands where there is no number: "Unknown",
// "000-00-0000".
func placeholder(ii ccda.II) bool {
	bare := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' {
			return r
		}
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		if r > 0x7f {
			return r
		}
		return -1
	}, ii.Extension)
	switch bare {
	case "", "unknown", "unk", "none", "na", "null", "ni", "nil", "asku", "nask", "notavailable", "notknown", "notapplicable", "nullflavor", "missing", "undefined":
		return true
	}
	if strings.Trim(bare, "0") == "" || strings.Trim(bare, "x") == "" || len(bare) > 4 && strings.Trim(bare, "9") == "" {
		return true
	}
	return ii.Root == oidSSN && (len(bare) != 9 || !isDigits(bare))
}

// namesOf maps the names of an element.
func (c *clinical) namesOf(e *ccda.Element) []r4.HumanName {
	var all []r4.HumanName
	for k := range e.All("name") {
		if n := c.nameOf(ccda.NameOf(k)); n != nil {
			all = append(all, *n)
		}
	}
	return all
}

func (c *clinical) nameOf(n ccda.Name) *r4.HumanName {
	out := &r4.HumanName{
		Family: p(clean(strings.Join(n.Family, " "))), Given: cleaned(append(n.Given, n.Called...)), Prefix: cleaned(n.Prefix), Suffix: cleaned(n.Suffix),
		Text: p(clean(n.Text)), Period: period(c.timeOf(n.Valid.Low), c.timeOf(n.Valid.High)),
	}
	if out.Family == nil && out.Given == nil && out.Text == nil {
		return nil
	}
	if out.Text != nil {
		out.Prefix, out.Suffix = nil, nil
	}
	for _, u := range n.Use {
		out.Use = nameUse(nameUses[u])
	}
	return out
}

func cleaned(all []string) []string {
	var out []string
	for _, s := range all {
		if s = clean(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// addressesOf maps the addresses of an element.
func (c *clinical) addressesOf(e *ccda.Element) []r4.Address {
	var all []r4.Address
	for k := range e.All("addr") {
		a := ccda.AddressOf(k)
		out := r4.Address{
			Line: cleaned(a.Lines), City: p(clean(a.City)), State: p(clean(a.State)), PostalCode: p(clean(a.Zip)), Country: p(clean(a.Country)), District: p(clean(a.County)),
			Period: period(c.timeOf(a.Valid.Low), c.timeOf(a.Valid.High)), Extension: stringExtension("iso21090-ADXP-censusTract", clean(a.Census)),
		}
		if out.Line == nil && out.City == nil && out.State == nil && out.PostalCode == nil && out.Country == nil && out.District == nil {
			if out.Text = p(clean(a.Text)); out.Text == nil {
				continue
			}
		}
		for _, u := range a.Use {
			var use r4.AddressUse
			if fhirCode("", addressUses[u], &use) {
				out.Use = &use
			}
		}
		all = append(all, out)
	}
	return all
}

// telecomsOf maps the telecoms of an element.
func (c *clinical) telecomsOf(e *ccda.Element) []r4.ContactPoint {
	var all []r4.ContactPoint
	for k := range e.All("telecom") {
		t := ccda.TelecomOf(k)
		if t.Value == "" {
			continue
		}
		out := r4.ContactPoint{}
		value := clean(t.Value)
		var system r4.ContactPointSystem
		if scheme, rest, ok := strings.Cut(value, ":"); ok && telecomSystems[strings.ToLower(scheme)] != "" {
			_ = fhirCode("", telecomSystems[strings.ToLower(scheme)], &system)
			out.System = &system
			if system != r4.ContactPointSystemUrl {
				value = strings.TrimPrefix(rest, "//")
			}
		} else if strings.Contains(value, "@") {
			system = r4.ContactPointSystemEmail
			out.System = &system
		}
		if value = clean(value); value == "" {
			continue
		}
		out.Value = &value
		for _, u := range t.Use {
			var use r4.ContactPointUse
			if fhirCode("", telecomUses[u], &use) {
				out.Use = &use
			}
			if u == "PG" {
				system = r4.ContactPointSystemPager
				out.System = &system
			}
		}
		all = append(all, out)
	}
	return all
}

var telecomSystems = map[string]string{"tel": "phone", "mailto": "email", "fax": "fax", "x-text-fax": "fax", "http": "url", "https": "url", "sms": "sms"}
