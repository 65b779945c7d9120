package proof_test

import "strings"

// Appointments of which messages tell only what changes. What is sensitive may stand in
// the message that tells the appointment whole or in any of those behind it, and may be
// taken off by the last: each says over again what stood before it. Some are never told
// whole.

// changed is a message that tells what changes of the appointment that said, an SCH or
// ARQ, tells of.
func (f *forge) changed(l *letter, said, typ string, secret bool, lines ...line) {
	l.typ, l.control, l.at, l.lines = typ, f.number("M"), f.tick(), lines
	if secret {
		l.control = f.canary()
	}
	parts := strings.SplitN(said, "|", 4)
	l.before = []string{strings.Join(parts[:3], "|")}
}

var harmlessParts = []form{
	{"appointment that changes", "", func(f *forge, p *person) {
		l := f.letter(p, "SIU^S12^SIU_S12", false)
		said := f.booking(l.control, "CHECKUP^Blood pressure check^L", "Booked", false)
		l.before = []string{said}
		l.lines = []line{{"RGS|#|A", false}, {"AIS|#|A|CHECKUP^Blood pressure check^L", false}, {"AIP|#|A|D100^Hodgkin^Mary^^^Dr", false}, {"AIL|#|A|CLINIC2^3", false}}
		if f.IntN(4) > 0 {
			f.hl7(p, "an appointment", l, false)
		}
		for range 1 + f.IntN(3) {
			switch f.IntN(4) {
			case 0:
				f.changed(&l, said, "SIU^S18^SIU_S12", false, line{"RGS|#|A", false}, line{"AIP|#|A|" + f.doctor(false), false})
			case 1:
				f.changed(&l, said, "SIU^S19^SIU_S12", false, line{"RGS|#|U", false}, line{"AIS|#|U|CHECKUP^Blood pressure check^L||||45|min", false})
			case 2:
				f.changed(&l, said, "SIU^S20^SIU_S12", false, line{"RGS|#|U", false}, line{"AIP|#|D|D100", false})
			default:
				f.changed(&l, said, "SIU^S22^SIU_S12", false, line{"RGS|#", false}, line{"AIL|#||CLINIC2^3", false})
			}
			f.hl7(p, "what changes of an appointment", l, false)
		}
	}},
	{"request that changes", "", func(f *forge, p *person) {
		l := f.letter(p, "SRM^S01^SRM_S01", false)
		said := "ARQ|" + l.control + "|||||ROUTINE|CHECKUP^Blood pressure check^L"
		l.before = []string{said}
		l.lines = []line{{"RGS|#|A", false}, {"AIS|#|A|CHECKUP^Blood pressure check^L", false}}
		f.hl7(p, "an appointment is asked for", l, false)
		f.changed(&l, said, "SRM^S07^SRM_S01", false, line{"RGS|#|A", false}, line{"AIP|#|A|" + f.doctor(false), false})
		f.hl7(p, "somebody is asked for besides", l, false)
	}},
}

var sensitiveParts = []form{
	{"appointment that changes", "", func(f *forge, p *person) {
		k := f.kind()
		tells := f.IntN(4) // what of it: its reason, its service, what is added, where it is
		reason, service, place := "X^Review^L", "X^Visit^L", f.canary()+"^"+f.canary()
		switch tells {
		case 0:
			reason = "X^" + k.reason + " " + f.canary() + "^L"
		case 1:
			service = "X^" + k.reason + "^L"
		case 3:
			place = strings.ReplaceAll(k.clinic, " ", "-") + "^1"
		}
		l := f.letter(p, "SIU^S12^SIU_S12", true)
		said := f.booking("", reason, "Booked", true)
		l.before = []string{said}
		l.lines = []line{{"RGS|#|A", false}, {"AIS|#|A|" + service, false}, {"AIP|#|A|" + f.doctor(true), false}, {"AIL|#|A|" + place, false}}
		var first *event
		if tells != 2 || f.IntN(2) == 0 {
			first = f.hl7(p, "an appointment for "+k.name, l, true)
		}
		if tells == 2 {
			f.changed(&l, said, "SIU^S18^SIU_S12", true, line{"RGS|#|A", false}, line{"AIS|#|A|Y^" + k.reason + "^L", false}, line{"AIP|#|A|" + f.doctor(true), false})
			last := f.hl7(p, "a service for "+k.name+" is added", l, true)
			if first != nil {
				opening(first, last)
			}
			return
		}
		for range 1 + f.IntN(3) {
			switch f.IntN(4) {
			case 0:
				f.changed(&l, said, "SIU^S18^SIU_S12", true, line{"RGS|#|A", false}, line{"AIP|#|A|" + f.doctor(true), false})
			case 1:
				f.changed(&l, said, "SIU^S20^SIU_S12", true, line{"RGS|#|U", false}, line{"AIS|#|D|" + service, false})
			case 2:
				f.changed(&l, said, "SIU^S22^SIU_S12", true, line{"RGS|#|U", false}, line{"AIL|#|D|" + place, false})
			default:
				f.changed(&l, said, "SIU^S19^SIU_S12", true, line{"RGS|#|U", false}, line{"AIS|#|U|" + service + "||||45|min", false})
				l.before[0] += "|||||X^Review^L"
			}
			f.hl7(p, "what changes of it", l, true)
		}
	}},
	{"request that changes", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "SRM^S01^SRM_S01", true)
		said := "ARQ|" + f.canary() + "|||||ROUTINE|X^" + k.reason + "^L"
		l.before = []string{said}
		l.lines = []line{{"RGS|#|A", false}, {"AIP|#|A|" + f.doctor(true), false}}
		f.hl7(p, "an appointment for "+k.name+" is asked for", l, true)
		f.changed(&l, said, "SRM^S08^SRM_S01", true, line{"RGS|#|A", false}, line{"AIL|#|A|" + f.canary(), false})
		l.before[0] += "||||ROUTINE|X^Review^L"
		f.hl7(p, "what is asked for changes", l, true)
	}},
}
