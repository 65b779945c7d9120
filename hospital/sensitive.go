package hospital

import (
	"fmt"
	"time"
)

// sensitive plants results that a community provider must not see, in each
// form a laboratory writes them: by code, by panel, by words, in a PDF, and as
// an appointment's reason; the canary words stand nowhere else.
func (w *writer) sensitive() {
	at := w.hour(w.h.now.AddDate(0, 0, -26), 9, 3)
	doctor := doctors[w.index%len(doctors)]
	next := func(prefix string) string {
		w.order++
		return fmt.Sprintf("%s%05d%04d", prefix, w.index, w.order)
	}
	oru := func(number, code string, obx ...string) {
		segments := append([]string{w.pid(), "ORC|RE|" + number + "|" + number + "F", obr(number, code, at, at, "F", doctor)}, obx...)
		w.send(at, labID, "ORU^R01", "ORU_R01", segments...)
		at = at.Add(61 * time.Minute)
	}
	oru(next("S"), "56888-1^HIV 1+2 Ab+HIV1 p24 Ag^LN",
		"OBX|1|CWE|56888-1^HIV 1+2 Ab+HIV1 p24 Ag^LN||NR^Non-reactive HIV-CANARY-CODE^L||||||F|||"+minute(at))
	oru(next("S"), "IDSCR^Infectious disease screen^L",
		"OBX|1|NM|1988-5^C-reactive protein^LN||3.1|mg/L^mg/L^UCUM|<8||||F|||"+minute(at),
		"OBX|2|ST|HIVSC^HIV screen^L||Repeat advised HIV-CANARY-PANEL||||||F|||"+minute(at))
	oru(next("S"), "MISC^Miscellaneous send-out^L",
		"OBX|1|TX|MISC^Miscellaneous send-out^L||Anti-retroviral resistance genotype requested, HIV-1 RNA detected HIV-CANARY-TEXT||||||F|||"+minute(at))
	oru(next("S"), "REFLAB^Reference laboratory report^L",
		"OBX|1|ED|REFLAB^Reference laboratory report^L||LAB^application^pdf^Base64^"+pdf("Reference laboratory", "HIV-1 viral load: 41 copies/mL", "HIV-CANARY-PDF")+"||||||F")
	if w.p.Sex == "F" {
		oru(next("S"), "21198-7^Choriogonadotropin.beta subunit^LN",
			"OBX|1|NM|21198-7^Choriogonadotropin.beta subunit (pregnancy test)^LN||412.7|IU/L^IU/L^UCUM|<5|HH|||F|||"+minute(at),
			"NTE|1||HCG-CANARY early pregnancy likely")
	}
	oru(next("S"), "11526-1^Pathology study^LN",
		"OBX|1|TX|22637-3^Pathology report final diagnosis^LN||Breast, core biopsy: invasive ductal carcinoma, CARCINOMA-CANARY||||||F|||"+minute(at))
}
