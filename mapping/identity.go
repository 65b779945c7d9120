package mapping

import (
	"strings"

	"firebreak/adapters/hl7"
)

// identity is the identifier that names a chart.
type identity struct{ system, value string }

// patient chooses the identifier of PID that names the patient: of PID-3, of
// PID-2 or PID-4 where older feeds have none there.
func (f *Feed) patient(pid hl7.Segment) (identity, error) {
	if !pid.Exists() {
		return identity{}, &Error{Segment: "PID", Field: 3, Reason: "no patient identifier: the message has no PID"}
	}
	for _, field := range [...]int{3, 2, 4} {
		if id, ok := f.choose(pid.Field(field)); ok {
			return id, nil
		}
	}
	reason := "no patient identifier"
	if len(f.PatientAuthorities) > 0 {
		reason = "no patient identifier of a declared assigning authority"
	}
	return identity{}, fail(pid, 3, reason)
}

// choose gives the best identifier of a field: by declared authority, else by
// type (a medical record number before an internal one before others, an
// account or visit never before them), else by the authority's name, so that
// the order of repetitions decides nothing but among equals.
func (f *Feed) choose(field hl7.Field) (best identity, ok bool) {
	bestRank := 0
	for rep := range field.Reps() {
		cx := of(rep)
		id := identity{f.authority(cx), cx.at(1)}
		if id.value == "" {
			continue
		}
		rank, usable := f.rank(id.system, cx.at(5))
		if !usable {
			continue
		}
		if !ok || rank < bestRank || rank == bestRank && id.system < best.system {
			best, bestRank, ok = id, rank, true
		}
	}
	return best, ok
}

// authority is the assigning authority of a CX as ids are made from it: the
// namespace, which feeds repeat more faithfully than the universal id.
func (f *Feed) authority(cx data) string {
	hd := cx.in(4)
	if name := hd.at(1); name != "" {
		return name
	}
	if universal := hd.at(2); universal != "" {
		return universal
	}
	return f.Authority
}

func (f *Feed) rank(authority, typ string) (rank int, usable bool) {
	if len(f.PatientAuthorities) > 0 {
		for i, a := range f.PatientAuthorities {
			if a == authority {
				return i, true
			}
		}
		return 0, false
	}
	switch strings.ToUpper(typ) {
	case "MR", "MRN":
		return 0, true
	case "PI":
		return 1, true
	case "AN", "VN", "VISITID", "SS", "DL", "PPN", "MC", "MA", "PN", "BC":
		return 3, true
	}
	return 2, true
}

// authorityOf is what ids are made from for an HD that stands alone.
func (f *Feed) authorityOf(hd data) string {
	if name := hd.at(1); name != "" {
		return name
	}
	return hd.at(2)
}
