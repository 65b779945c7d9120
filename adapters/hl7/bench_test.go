package hl7

import (
	"bytes"
	"context"
	"fmt"
	"testing"
)

// typical is an ORU^R01 as a laboratory sends it: 17 results, 2.5 kB.
var typical = func() []byte {
	b := []byte("MSH|^~\\&|LAB|MERCY|GW|CITY|20260102030405-0500||ORU^R01^ORU_R01|MSG00001|P|2.5.1||||||UNICODE UTF-8\r" +
		"PID|1||8390211^^^MERCY&1.2.3.4&ISO^MR~999999999^^^SSA^SS||Doe^Jane^A^^^^L||19700131|F||2106-3^White^CDCREC|1 Main St^^Springfield^IL^62701^USA||^PRN^PH^^1^217^5550123\r" +
		"PV1|1|I|4W^412^B^MERCY||||1234567893^Roe^Richard^^^Dr.^^^NPI^L|||MED||||1|||1234567893^Roe^Richard^^^Dr.^^^NPI^L|IN|V0042^^^MERCY^VN\r" +
		"ORC|RE|ORD77^EHR|FIL88^LAB||CM||||20260102010000|||1234567893^Roe^Richard^^^Dr.^^^NPI^L\r" +
		"OBR|1|ORD77^EHR|FIL88^LAB|58410-2^CBC panel^LN^CBC^Complete count^L|||20260102013000|||||||||1234567893^Roe^Richard^^^Dr.^^^NPI^L||||||20260102030000|||F\r")
	for i := range 17 {
		b = fmt.Appendf(b, "OBX|%d|NM|26464-8^Leukocytes [#/volume] in Blood^LN^WBC^White cells^L||7.%d0|10*9/L^^UCUM|4.00-11.00|N|||F|||20260102013000||TECH1|||20260102025500\r", i+1, i%10)
	}
	return b
}()

func BenchmarkParse(b *testing.B) {
	b.SetBytes(int64(len(typical)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(typical); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead parses and reads what a mapping reads of every result.
func BenchmarkRead(b *testing.B) {
	b.SetBytes(int64(len(typical)))
	b.ReportAllocs()
	for b.Loop() {
		m, err := Parse(typical)
		if err != nil {
			b.Fatal(err)
		}
		pid := m.Segment("PID")
		n := len(pid.Field(5).Component(1).String()) + len(pid.Field(3).Rep(1).Component(5).String())
		for obx := range m.All("OBX") {
			code := obx.Field(3).Rep(0)
			n += len(code.Component(1).String()) + len(code.Component(2).String()) + len(code.Component(3).String())
			v, err := obx.Field(5).Number()
			if err != nil {
				b.Fatal(err)
			}
			at, err := obx.Field(14).Time()
			if err != nil {
				b.Fatal(err)
			}
			n += len(v) + len(obx.Field(6).String()) + len(obx.Field(7).Text()) + len(obx.Field(11).String()) + len(at.Date())
		}
		if n == 0 {
			b.Fatal("nothing read")
		}
	}
}

func BenchmarkAck(b *testing.B) {
	m := parse(b, string(typical))
	b.ReportAllocs()
	for b.Loop() {
		m.Ack(Ack{Code: AA, ID: "7", At: ackTime})
	}
}

func BenchmarkSplit(b *testing.B) {
	file := bytes.Repeat(typical, 100)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		n := 0
		for p := range Split(file) {
			n += len(p.Message())
		}
		if n != len(file) {
			b.Fatal(n)
		}
	}
}

// BenchmarkRoundTrip sends and awaits the answer on one local connection.
func BenchmarkRoundTrip(b *testing.B) {
	s := &Server{Handler: HandlerFunc(func(context.Context, *Request) error { return nil })}
	c := &Client{Addr: serveTCP(b, s)}
	defer c.Close()
	b.SetBytes(int64(len(typical)))
	for b.Loop() {
		if a, err := c.Send(b.Context(), typical); err != nil || a.Code != AA {
			b.Fatal(a.Code, err)
		}
	}
}
