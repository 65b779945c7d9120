package hl7

import (
	"strings"
	"testing"
)

func TestNumbersKeepTheirDigits(t *testing.T) {
	for in, want := range map[string]Number{
		"0": "0", "7": "7", "+7": "7", "-7": "-7", "007": "7", "-007.50": "-7.50", "1.50": "1.50", "200.00": "200.00",
		".5": "0.5", "-.5": "-0.5", "5.": "5", "0.0": "0.0", "000": "0", "00.10": "0.10", " 12 ": "12",
		"123456789012345678901234567890.12345678901234567890": "123456789012345678901234567890.12345678901234567890",
	} {
		if got, ok := ParseNumber(in); !ok || got != want {
			t.Errorf("%q gives %q, %t; want %q", in, got, ok, want)
		}
	}
	for _, in := range []string{"", " ", ".", "+", "-", "+-1", "1-", "1,5", "1e5", "0x1", "1 2", "1.2.3", "MG/DL", ">5", "١", "Inf", "NaN", "\t1"} {
		if got, ok := ParseNumber(in); ok {
			t.Errorf("%q is taken for the number %q", in, got)
		}
	}
}

func TestStructured(t *testing.T) {
	sn := func(s string) (Structured, error) {
		return parse(t, "MSH|^~\\&|A\rOBX|1|SN|X||"+s).Segment("OBX").Field(5).Structured()
	}
	for in, want := range map[string]Structured{
		">^100":     {">", "100", "", ""},
		"^100^-^20": {"", "100", "-", "20"},
		"^1^:^128":  {"", "1", ":", "128"},
		"^2^+":      {"", "2", "+", ""},
		"<>^1.50":   {"<>", "1.50", "", ""},
		"<=^^-^5":   {"<=", "", "-", "5"},
		"100":       {"", "100", "", ""},
		`""^1`:      {"", "1", "", ""},
	} {
		if got, err := sn(in); err != nil || got != want {
			t.Errorf("%s gives %+v, %v; want %+v", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"":         "OBX-5.2 in segment 2: not a number",
		"^x":       "OBX-5.2 in segment 2: not a number",
		"^1^-^x":   "OBX-5.4 in segment 2: not a number",
		"-^1^-^3":  "OBX-5.1 in segment 2: not a comparator",
		"\"^1^:^3": "OBX-5.1 in segment 2: not a comparator",
		"5^1":      "OBX-5.1 in segment 2: not a comparator",
		"^1^x^2":   "OBX-5.3 in segment 2: not a separator",
		">":        "OBX-5.2 in segment 2: not a number",
	} {
		if got, err := sn(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %+v, %v; want %s", in, got, err, want)
		}
	}
}
