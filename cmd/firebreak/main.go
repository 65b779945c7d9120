// Command firebreak is the gateway: it takes hospitals' data in, maps it to
// FHIR, withholds what may not be seen, and serves what is left.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // feeds name their time zones; the machine may not know them
)

// version is set by the linker.
var version = "unknown"

// command is one thing the program can be told to do.
type command struct {
	name, args, about string
	run               func(context.Context, *env, []string) error
}

// env is the world as a command sees it, so that tests can give another.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

var commands = []command{
	{"demo", "[--listen ADDR] [--mllp ADDR] [--data DIR] [--empty] [--now TIME] [--config FILE]", "everything on this machine, fed by a synthetic hospital", runDemo},
	{"serve", "--config FILE", "the gateway", runServe},
	{"check", "--config FILE", "explain a configuration and test each connection", runCheck},
	{"map", "[--config FILE --feed NAME | --zone ZONE] [--dialect FILE] [--explain | --unmapped] FILE...|- | --config FILE|--data DIR --feed NAME [--dialect FILE] --stored N [--clear fault|sender|safety] [--unmapped]", "HL7 v2 messages and C-CDA documents to FHIR Bundles, one a line; or what a dialect would change in the last messages of a feed", runMap},
	{"label", "[--zone ZONE] FILE...|-", "the sensitivity labels of FHIR resources, Bundles, HL7 v2 messages or C-CDA documents, one resource a line", runLabel},
	{"send", "--to HOST:PORT [--connections N] [--tls] [--ca PEM] [--cert PEM --key PEM] FILE...|-", "send HL7 v2 messages over MLLP and wait for each answer", runSend},
	{"feeds", "[list] --config FILE|--data DIR | pause|resume --config FILE|--data DIR NAME | load --config FILE|--data DIR", "how each feed does, have what comes from one kept and not applied, or their dialects read anew", runFeeds},
	{"held", "[list] --config FILE|--data DIR [--aside | ID] | aside --reason TEXT --config FILE|--data DIR ID... | back --config FILE|--data DIR ID...", "list the messages that could not be applied, or that were set aside; print one as it came; set some aside that never can be, or take them back", runHeld},
	{"replay", "--config FILE|--data DIR --held | --feed NAME --stored N | [--same] ID...", "apply stored messages again", runReplay},
	{"duplicates", "[same|different|undone] --config FILE|--data DIR [A B]", "list the records that are probably of one person, or decide on a pair of them", runDuplicates},
	{"outbox", "[list] --config FILE|--data DIR | retry|drop --reason TEXT --config FILE|--data DIR ID...", "list what is addressed to other systems and not sent, have it sent again, or decide that it is not sent", runOutbox},
	{"clients", "[list] --config FILE|--data DIR | approve|refuse|suspend|resume|delete --reason TEXT --config FILE|--data DIR ID | limit [--api N] [--token N] --config FILE|--data DIR ID", "list the apps and backend services, let one in that registered itself, stop one and let it go on, or set how often it may ask in a minute", runClients},
	{"policy", "check FILE | load --config FILE | try --as AUDIENCE --patient ID --config FILE [--role ROLE] [--worksite ID] [--person ID] [--app] [--source NAME] [--policy FILE] | unread --config FILE | overdue --config FILE", "check a policy file, have the running gateway load its own, try one on a patient's chart; list what is not understood in patients' directives, or the results that patients do not know of after 12 days", runPolicy},
	{"codes", "--config FILE|--data DIR [--import FILE|-]", "list the local codes nobody has classified, and what was decided on others, as CSV; or take decisions from one", runCodes},
	{"audit", "verify DIR|--config FILE | events [--after N] DIR|--config FILE", "prove the audit log's chain, or name its first broken link; write what is logged as FHIR AuditEvents, one a line", runAudit},
	{"version", "", "print the version", printVersion},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // who asks twice does not want to wait
	os.Exit(run(ctx, &env{os.Stdin, os.Stdout, os.Stderr}, os.Args[1:]))
}

// errUsage ends a command that was not understood: run says how it is used.
var errUsage = flag.ErrHelp

// errSaid ends a command whose complaint is on standard error already.
var errSaid = errors.New("said")

// run does one command and gives the exit status: 0 well, 1 not, 2 not understood.
func run(ctx context.Context, e *env, args []string) int {
	if len(args) > 0 {
		for _, c := range commands {
			if c.name != args[0] {
				continue
			}
			err := c.run(ctx, e, args[1:])
			switch {
			case err == nil:
				return 0
			case errors.Is(err, flag.ErrHelp):
				fmt.Fprintf(e.stderr, "usage: firebreak %s\n%s\n", strings.TrimSpace(c.name+" "+c.args), c.about)
				return 2
			case !errors.Is(err, errSaid):
				fmt.Fprintf(e.stderr, "firebreak %s: %v\n", c.name, err)
			}
			return 1
		}
	}
	if len(args) == 1 && (args[0] == "help" || args[0] == "-h" || args[0] == "--help") {
		usage(e.stdout)
		return 0
	}
	usage(e.stderr)
	return 2
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage:")
	for _, c := range commands {
		fmt.Fprintf(w, "  firebreak %s\n\t%s\n", strings.TrimSpace(c.name+" "+c.args), c.about)
	}
}

// flags makes a command's flag set; its own messages go nowhere, run says the usage.
func flags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	return f
}

// parse reads flags; what flag complains of is said before the usage.
func parse(e *env, f *flag.FlagSet, args []string) error {
	if err := f.Parse(args); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(e.stderr, err)
		}
		return flag.ErrHelp
	}
	return nil
}

func printVersion(_ context.Context, e *env, _ []string) error {
	fmt.Fprintln(e.stdout, "firebreak", version)
	return nil
}
