package hospital

// analyte is one laboratory test: its LOINC code, the range it is drawn from,
// and the reference range the laboratory prints.
type analyte struct {
	loinc, name, unit string
	mean, spread      float64
	digits            int
	low, high         float64 // 0: open
	critical          bool    // the laboratory telephones values far outside
}

type panel struct {
	code, name string // LOINC where there is one
	tests      []analyte
}

var panels = []panel{
	{"24321-2", "Basic metabolic panel", []analyte{
		{"2951-2", "Sodium", "mmol/L", 140, 3, 0, 135, 145, true},
		{"2823-3", "Potassium", "mmol/L", 4.3, 0.5, 1, 3.5, 5.0, true},
		{"2075-0", "Chloride", "mmol/L", 103, 3, 0, 98, 107, false},
		{"1963-8", "Bicarbonate", "mmol/L", 25, 2.5, 0, 22, 29, false},
		{"14682-9", "Creatinine", "umol/L", 88, 16, 0, 45, 95, false},
		{"22664-7", "Urea", "mmol/L", 6, 1.6, 1, 2.5, 8.0, false},
		{"14749-6", "Glucose", "mmol/L", 6.1, 1.4, 1, 3.6, 6.0, false},
		{"62238-1", "eGFR (CKD-EPI)", "mL/min/1.73m2", 78, 12, 0, 60, 0, false},
	}},
	{"58410-2", "Complete blood count", []analyte{
		{"718-7", "Haemoglobin", "g/L", 131, 13, 0, 120, 160, true},
		{"6690-2", "Leukocytes", "10*9/L", 7.2, 2.2, 1, 4.0, 11.0, false},
		{"777-3", "Platelets", "10*9/L", 255, 60, 0, 150, 400, false},
		{"787-2", "MCV", "fL", 90, 4, 0, 80, 100, false},
		{"751-8", "Neutrophils", "10*9/L", 4.3, 1.6, 1, 2.0, 7.5, false},
		{"731-0", "Lymphocytes", "10*9/L", 2.0, 0.6, 1, 1.0, 4.0, false},
	}},
	{"24331-1", "Lipid panel", []analyte{
		{"14647-2", "Cholesterol", "mmol/L", 5.0, 0.9, 2, 0, 5.2, false},
		{"14646-4", "HDL cholesterol", "mmol/L", 1.35, 0.3, 2, 1.0, 0, false},
		{"39469-2", "LDL cholesterol", "mmol/L", 3.0, 0.8, 2, 0, 3.5, false},
		{"14927-8", "Triglycerides", "mmol/L", 1.6, 0.6, 2, 0, 1.7, false},
	}},
	{"", "Endocrine", []analyte{
		{"4548-4", "Haemoglobin A1c", "%", 6.4, 0.7, 1, 0, 6.0, false},
		{"3016-3", "TSH", "mU/L", 2.4, 1.3, 2, 0.4, 4.5, false},
	}},
	{"", "Inflammation and iron", []analyte{
		{"1988-5", "C-reactive protein", "mg/L", 6, 6, 1, 0, 8, false},
		{"2276-4", "Ferritin", "ug/L", 85, 55, 0, 15, 200, false},
	}},
}

var vitals = panel{"85353-1", "Vital signs", []analyte{
	{"8480-6", "Systolic blood pressure", "mm[Hg]", 128, 14, 0, 90, 140, false},
	{"8462-4", "Diastolic blood pressure", "mm[Hg]", 78, 9, 0, 60, 90, false},
	{"8867-4", "Heart rate", "/min", 74, 11, 0, 50, 100, false},
	{"8310-5", "Body temperature", "Cel", 36.8, 0.5, 1, 36.0, 37.8, false},
	{"29463-7", "Body weight", "kg", 71, 6, 1, 0, 0, false},
}}
