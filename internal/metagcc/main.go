package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// gcc is the compiler below; translated are its options for what is
// translated, unless others are given.
const gcc = "riscv64-linux-gnu-gcc-12"

var translated = []string{
	"-march=rv32em", "-mabi=ilp32e", "-fleading-underscore", "-mno-explicit-relocs", "-msmall-data-limit=0",
	"-fno-shrink-wrap", "-fno-jump-tables", "-fno-dwarf2-cfi-asm", "-fno-section-anchors", "-mno-relax",
	"-gno-variable-location-views", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables",
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "metagcc: %v\n", err)
		os.Exit(1)
	}
}

// command is what the arguments ask for.
type command struct {
	compile, preprocess, version bool
	language, output             string
	options, inputs, link        []string
}

func parse(args []string) (c command, err error) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		value := func() string {
			if i++; i >= len(args) {
				err = fmt.Errorf("%s needs a value", a)
				return ""
			}
			return args[i]
		}
		switch {
		case a == "--version":
			c.version = true
		case a == "-c":
			c.compile = true
		case a == "-E":
			c.preprocess = true
		case a == "-o":
			c.output = value()
		case a == "-x":
			c.language = value()
		case a == "-nostdlib", a == "-static", a == "-no-pie":
		case strings.HasPrefix(a, "-Wl,"):
			c.link = append(c.link, strings.Split(a, ",")[1:]...)
		case strings.HasPrefix(a, "-"):
			c.options = append(c.options, a)
		default:
			c.inputs = append(c.inputs, a)
		}
	}
	if err == nil && !c.version && c.output == "" {
		err = errors.New("-o is missing")
	}
	return c, err
}

func run(args []string) error {
	c, err := parse(args)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	tool := func(name string) string { return filepath.Join(filepath.Dir(self), "metag-linux-"+name) }
	switch {
	case c.version:
		return printVersion(self)
	case c.preprocess:
		options := append([]string{"-E", "-o", c.output}, c.options...)
		if c.language != "" {
			options = append(options, "-x", c.language)
		}
		return execute(gcc, append(options, c.inputs...)...)
	case !c.compile:
		return execute(tool("ld"), append(append([]string{"-o", c.output}, c.link...), c.inputs...)...)
	case len(c.inputs) != 1:
		return fmt.Errorf("-c takes one file, not %d", len(c.inputs))
	}
	temp, err := os.MkdirTemp("", "metagcc-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	assembly := filepath.Join(temp, "meta.s")
	if err := c.assembly(filepath.Join(temp, "riscv.s"), assembly); err != nil {
		return err
	}
	return execute(tool("as"), "-mcpu=metac21", "-o", c.output, assembly)
}

// assembly writes the assembly of the input, which is C or needs to be
// preprocessed only.
func (c *command) assembly(temp, to string) error {
	input := c.inputs[0]
	if strings.HasSuffix(input, ".S") {
		return execute(gcc, append(append([]string{"-E", "-P", "-o", to}, c.options...), input)...)
	}
	options := append(append([]string{"-S", "-o", temp}, translated...), c.options...)
	if err := execute(gcc, append(options, input)...); err != nil {
		return err
	}
	text, err := os.ReadFile(temp)
	if err != nil {
		return err
	}
	meta, err := translate(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", input, err)
	}
	return os.WriteFile(to, []byte(meta), 0o600)
}

// printVersion tells this program's versions apart, and the compiler's.
func printVersion(self string) error {
	b, err := os.ReadFile(self)
	if err != nil {
		return err
	}
	fmt.Printf("metagcc %x\n", sha256.Sum256(b))
	return execute(gcc, "--version")
}

func execute(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return nil
}
