// The bindings know the module by this name.
module wit_component

go 1.25

require go.bytecodealliance.org/pkg v0.4.0

// A copy of the part that a hook needs, so that nothing has to be downloaded.
replace go.bytecodealliance.org/pkg => ../../host/sessiond/templates/bindings/go
