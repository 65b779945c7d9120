package mapping

import (
	"net/url"
	"strings"
	"time"
)

// Feed is what a site declares about one source. Everything but Source is
// optional; what is not declared is not guessed.
type Feed struct {
	// Source is the inbox.Message.Source it speaks of.
	Source string

	// Zone is where the source's clocks stand. FHIR wants an offset with every
	// time of day, HL7 v2 sends often none: such a time is read in Zone, and in
	// UTC when Zone is nil. A time with its own offset keeps it.
	Zone *time.Location

	// PatientAuthorities are the assigning authorities (PID-3.4, its first
	// subcomponent) whose identifier names the patient, the best first. When
	// declared, no other identifier does, and a message without one is held.
	// When not, see the package comment.
	PatientAuthorities []string

	// Authority is the assigning authority of patients' and visits' numbers (CX)
	// that name none.
	Authority string

	// Systems gives the URI of an assigning authority or a local coding system,
	// by the name the source uses: "NHSNBR": "https://fhir.nhs.uk/Id/nhs-number".
	Systems map[string]string

	// Send is what may be addressed to the source's system; nil: nothing.
	Send *Send

	// Dialect is how the source's messages differ from the standard; nil: not at all.
	Dialect *Dialect
}

func (f *Feed) zone() *time.Location {
	if f.Zone == nil {
		return time.UTC
	}
	return f.Zone
}

// local is the URI of a name that means something to this source only.
func (f *Feed) local(name string) string {
	return "urn:hl7v2:" + url.PathEscape(f.Source) + ":" + url.PathEscape(name)
}

// system is the URI of an assigning authority (HD): the declared one, else the
// universal id, else a URN local to the source. Empty when hd is.
//
// Source: v2-to-FHIR, HD[uri], which takes HD.1 first; a system must be a URI
// and the universal id is one, so here it goes before the namespace.
func (f *Feed) system(hd data) string {
	return f.uri(hd.at(1), hd.at(2), hd.at(3))
}

// issuer is system for the assigning authority of a CX, the feed's where none
// is sent.
func (f *Feed) issuer(hd data) string {
	if !hd.present() {
		return f.uri(f.Authority, "", "")
	}
	return f.system(hd)
}

func (f *Feed) uri(name, universal, kind string) string {
	if uri := f.Systems[name]; uri != "" && name != "" {
		return uri
	}
	if uri := f.Systems[universal]; uri != "" && universal != "" {
		return uri
	}
	if uri := universalURI(universal, kind); uri != "" {
		return uri
	}
	switch {
	case name != "":
		return f.local(name)
	case universal != "":
		return f.local(universal)
	}
	return ""
}

// universalURI is the URI of a universal id, HL7 table 0301; empty when the id
// is not what its type says.
func universalURI(id, kind string) string {
	switch {
	case id == "":
	case kind == "ISO" || kind == "" && isOID(id) && strings.Count(id, ".") > 3:
		if isOID(id) {
			return "urn:oid:" + id
		}
	case kind == "UUID" || kind == "GUID":
		if len(id) == 36 {
			return "urn:uuid:" + strings.ToLower(id)
		}
	case kind == "URI":
		if u, err := url.Parse(id); err == nil && u.Scheme != "" {
			return id
		}
	}
	return ""
}

// isOID tells whether s is an object identifier in dotted form.
func isOID(s string) bool {
	if len(s) < 3 || s[0] > '2' || s[0] < '0' || s[1] != '.' {
		return false
	}
	for arc := range strings.SplitSeq(s, ".") {
		if arc == "" || len(arc) > 1 && arc[0] == '0' {
			return false
		}
		for i := range len(arc) {
			if arc[i] < '0' || arc[i] > '9' {
				return false
			}
		}
	}
	return true
}
