package label

import (
	"bytes"
	"slices"
	"strings"
)

// A French sender masks a document to professionals by a result beside it:
// OBX-3 MASQUE_PS with Y in OBX-5. It holds for the message.
//
// Source: ANS, CI-SIS, volet "Transmission d'un document CDA-R2 en HL7 v2" 1.2.
const maskFlag = "MASQUE_PS"

// flagged tells whether the message says that it is masked. Anything but N does.
func flagged(all []Labeled) bool {
	for i := range all {
		res := all[i].res
		if res.Type() != "Observation" || !bytes.Contains(res.JSON(), []byte(maskFlag)) {
			continue
		}
		for c := range res.All("code.coding") {
			if !c.Get("code").Is(maskFlag) {
				continue
			}
			said := res.Get("valueString").Text()
			for v := range res.All("valueCodeableConcept.coding") {
				said += v.Get("code").Text()
			}
			if strings.TrimSpace(said) != "N" {
				return true
			}
		}
	}
	return false
}

// mask gives a flagged message's label to what it is about; its orders may be
// known from elsewhere, and are brought along.
func mask(all []Labeled) {
	for i := range all {
		if typ := all[i].res.Type(); flaggable(typ) && !all[i].Has(Masked) {
			all[i].labels = sorted(all[i].labels, Masked)
			all[i].reasons = append(slices.Clip(all[i].reasons), Reason{Masked, "masked to professionals by its sender", typ, maskFlag})
		}
	}
}

func flaggable(typ string) bool { return deeds[typ] && typ != "ServiceRequest" || typ == "Observation" }
