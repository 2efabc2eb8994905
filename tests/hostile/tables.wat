;; Makes its table larger without end. The host must stop it: a table is the host's memory.
(module
  (table $large 1 funcref)
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (loop $more
      (drop (table.grow $large (ref.null func) (i32.const 1000)))
      (br $more))
    (unreachable)))
