package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Result is a filled row.
type Result struct {
	Row
	About  string            // what the reference is
	Series map[string]Series // by guest key, or reference
}

// compare gives the ratio of Kiln's median to another's, or nothing.
func (r Result) compare(other string) string {
	k, o := r.Series["kiln"], r.Series[other]
	if !k.OK() || !o.OK() || o.Median() == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", k.Median()/o.Median())
}

// verdict says whether a target was met.
func (r Result) verdict(t Target) string {
	k, o := r.Series["kiln"], Series{Values: []float64{0}}
	if t.Guest != "" {
		o = r.Series[t.Guest]
	}
	switch {
	case len(k.Errs) > 0:
		return "FAILED"
	case !k.OK() || !o.OK():
		return "not measured"
	case t.Met(k.Median(), o.Median()):
		return "met"
	}
	return "MISSED"
}

// targets returns a second table: what was aimed at and whether it was met.
func targets(results []Result) [][]string {
	table := [][]string{{"row", "target for Kiln", "verdict"}}
	for _, r := range results {
		for _, t := range r.Targets {
			table = append(table, []string{r.Title, t.Text, r.verdict(t)})
		}
	}
	return table
}

// cells returns the table, with its head, as text.
func cells(guests []Guest, results []Result) [][]string {
	head := []string{"row", "unit"}
	for _, g := range guests {
		head = append(head, g.Name())
	}
	for _, g := range guests {
		if g.Key() != "kiln" {
			head = append(head, "Kiln : "+g.Name())
		}
	}
	table := [][]string{append(head, "beside")}
	for _, r := range results {
		line := []string{r.Title, r.Unit}
		for _, g := range guests {
			line = append(line, r.Series[g.Key()].String())
		}
		for _, g := range guests {
			if g.Key() != "kiln" {
				line = append(line, r.compare(g.Key()))
			}
		}
		beside := ""
		if s := r.Series[reference]; s.OK() {
			beside = r.About + " " + s.String()
		}
		table = append(table, append(line, beside))
	}
	return table
}

// writeTable prints rows of equal length as plain columns or as Markdown.
func writeTable(w io.Writer, rows [][]string, markdown bool) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	for i, row := range rows {
		writeLine(w, row, width, markdown)
		if i == 0 {
			rule := make([]string, len(row))
			for i := range rule {
				rule[i] = strings.Repeat("-", width[i])
			}
			writeLine(w, rule, width, markdown)
		}
	}
}

func writeLine(w io.Writer, row []string, width []int, markdown bool) {
	padded := make([]string, len(row))
	for i, c := range row {
		padded[i] = c + strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
	}
	if markdown {
		fmt.Fprintln(w, "| "+strings.Join(padded, " | ")+" |")
		return
	}
	fmt.Fprintln(w, strings.TrimRight(strings.Join(padded, "  "), " "))
}
