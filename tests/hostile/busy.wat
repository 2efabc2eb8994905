;; Asks the host for the time that is left, without end. The host must stop it at its deadline.
(module
  (import "sessiond:plugin/call@0.1.0" "remaining-ms" (func $left (result i32)))
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (loop $more
      (drop (call $left))
      (br $more))
    (unreachable)))
