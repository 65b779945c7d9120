package hl7_test

import (
	"context"
	"fmt"
	"net"
	"time"

	"firebreak/adapters/hl7"
)

// A server that keeps messages, and a client that sends one.
func Example() {
	server := &hl7.Server{
		Handler: hl7.HandlerFunc(func(_ context.Context, r *hl7.Request) error {
			if r.Message == nil {
				return nil // kept for a person; the sender is told that it cannot be read
			}
			pid, err := r.Message.Require("PID")
			if err != nil {
				return err // AE, with an ERR segment that says so
			}
			born, err := pid.Field(7).Time()
			if err != nil {
				return err
			}
			fmt.Println(r.Message.Type(), "about a patient born", born.Date())
			return nil // AA: kept
		}),
		Now:   func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
		NewID: func() string { return "A1" },
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go server.Serve(l)
	defer server.Close()

	client := &hl7.Client{Addr: l.Addr().String()}
	defer client.Close()
	for _, born := range []string{"198808", "18/8/1988"} {
		answer, err := client.Send(context.Background(), []byte(
			"MSH|^~\\&|ADT|MERCY|GW|CITY|20260102||ADT^A08^ADT_A01|M7|P|2.5.1\r"+
				"PID|1||123||Doe^Jane||"+born+"|F\r"))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %q\n", answer.Code, answer.Message.Get("ERR-8"))
	}
	// Output:
	// ADT^A08 about a patient born 1988-08
	// AA ""
	// AE "not a time: something other than digits"
}

// The results of each order, whatever stands between.
func ExampleMessage_Groups() {
	m, err := hl7.Parse([]byte("MSH|^~\\&|LAB|MERCY|GW|CITY|20260102||ORU^R01|1|P|2.5.1\r" +
		"PID|1||123\r" +
		"ORC|RE|1\rOBR|1|1||CBC\rOBX|1|NM|WBC||7.10|10*9/L\rNTE|1||checked twice\r" +
		"OBR|2|2||GLU\rOBX|1|SN|GLU||>^30.0|mmol/L\r"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, order := range m.Groups("ORC OBR") {
		fmt.Println(order.Segment("OBR").Field(4))
		for _, result := range order.Groups("OBX") {
			obx := result.Segment("OBX")
			switch obx.Field(2).String() {
			case "NM":
				v, err := obx.Field(5).Number()
				fmt.Println(" ", obx.Field(3), v, obx.Field(6), err)
			case "SN":
				v, err := obx.Field(5).Structured()
				fmt.Println(" ", obx.Field(3), v.Comparator, v.Num1, obx.Field(6), err)
			}
			for note := range result.All("NTE") {
				fmt.Println("   ", note.Field(3).Text())
			}
		}
	}
	// Output:
	// CBC
	//   WBC 7.10 10*9/L <nil>
	//     checked twice
	// GLU
	//   GLU > 30.0 mmol/L <nil>
}

// Times keep the precision they were sent with.
func ExampleTime_DateTime() {
	toronto, err := time.LoadLocation("America/Toronto")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range []string{"2026", "20260131", "202601310745", "20260131074501.25+0100", "202611010130"} {
		t, _ := hl7.ParseTime(s)
		fmt.Printf("%-22s %-29s %s\n", s, t.DateTime(toronto), t.DateTime(nil))
	}
	// Output:
	// 2026                   2026                          2026
	// 20260131               2026-01-31                    2026-01-31
	// 202601310745           2026-01-31T07:45:00-05:00     2026-01-31
	// 20260131074501.25+0100 2026-01-31T07:45:01.25+01:00  2026-01-31T07:45:01.25+01:00
	// 202611010130           2026-11-01                    2026-11-01
}

// A patient's number, and how much of the message the error gives away.
func ExampleFieldError() {
	m, err := hl7.Parse([]byte("MSH|^~\\&|LAB|MERCY\rPID|1||123^^^MR~x\r"))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = m.Segment("PID").Field(3).Rep(1).Number()
	fmt.Println(err)
	_, err = m.Segment("PID").Field(5).Component(1).Require()
	fmt.Println(err)
	_, err = m.Require("PV1")
	fmt.Println(err)
	// Output:
	// hl7: PID-3[2] in segment 2: not a number
	// hl7: PID-5.1 in segment 2: missing
	// hl7: PV1: the message has no such segment
}
