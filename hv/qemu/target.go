package qemu

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// parseTarget returns the numbers of a target's registers by name, from its
// description (GDB manual, appendix "Target Descriptions"): target.xml and
// what it includes, as read gives them. A register without a number has that
// behind the one before it, whatever file that is in.
func parseTarget(read func(name string) (string, error)) (map[string]int, error) {
	numbers := map[string]int{}
	next, files := 0, 0
	var parse func(name string) error
	parse = func(name string) error {
		const maxFiles = 64 // also ends a circle
		if files++; files > maxFiles {
			return fmt.Errorf("%w: the target description includes too many files", errGDB)
		}
		text, err := read(name)
		if err != nil {
			return err
		}
		d := xml.NewDecoder(strings.NewReader(text))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("%w: %s: %w", errGDB, name, err)
			}
			start, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			switch start.Name.Local {
			case "include":
				if err := parse(attribute(start, "href")); err != nil {
					return err
				}
			case "reg":
				if n, err := strconv.Atoi(attribute(start, "regnum")); err == nil {
					next = n
				}
				numbers[attribute(start, "name")] = next
				next++
			}
		}
	}
	return numbers, parse("target.xml")
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}
