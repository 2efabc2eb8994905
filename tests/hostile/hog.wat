;; Takes memory without end. The host must stop it at its limit, and name the limit.
(module
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (loop $more
      (drop (memory.grow (i32.const 16)))
      (br $more))
    (unreachable)))
