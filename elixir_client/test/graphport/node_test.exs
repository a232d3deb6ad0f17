defmodule Graphport.NodeTest do
  # What `use Graphport.Node` declares, and what of it is refused.
  use Graphport.Case, async: true

  alias Graphport.{Error, HostNodes}
  alias Graphport.Node.Spec

  defmodule WordCount do
    use Graphport.Node,
      inputs: [
        {"text", type: :string, min: 1, max: 2, choices: ["a"], hidden: true, external: true, setting: :text}
      ],
      outputs: [:count, rest: [type: "list", stream: true, description: "What is left."]],
      timeout: 50

    @impl true
    def run(_inputs, _context), do: {:ok, %{}}
  end

  # Made by hand, so that each can be wrong in one way.
  defp declares(options, body \\ "def run(_inputs, _context), do: {:ok, %{}}") do
    name = "Wrong#{System.unique_integer([:positive])}"
    code = "defmodule Graphport.NodeTest.#{name} do\nuse Graphport.Node, #{options}\n#{body}\nend"
    [{module, _binary}] = Code.compile_string(code)
    module
  end

  test "a declaration travels with the names that Python knows" do
    assert {:ok, %{"word-count" => WordCount}, [spec]} = Spec.declare([WordCount])
    assert %{"type" => "word-count", "effect" => "effect", "timeout_ms" => 50, "code" => code} = spec
    assert byte_size(code) == 32

    assert spec["inputs"] == [
             %{
               "name" => "text",
               "type" => "string",
               "min" => 1,
               "max" => 2,
               "choices" => ["a"],
               "hidden" => true,
               "external" => true,
               "setting" => "text"
             }
           ]

    assert spec["outputs"] == [
             %{"name" => "count"},
             %{"name" => "rest", "type" => "list", "stream" => true, "description" => "What is left."}
           ]
  end

  test "what is wrong with a declaration is said" do
    twice = declares(~s(type: "upcase"))

    wrong = [
      {[String], "no module that says `use Graphport.Node`"},
      {[NoSuchModule], "no module that says"},
      {[declares("colour: :red")], "unknown option :colour"},
      {[declares("inputs: [text: [colour: :red]]")], "input text: unknown option :colour"},
      {[declares("inputs: [text: [stream: true]]")], "unknown option :stream"},
      {[declares("outputs: [text: [default: 1]]")], "output text: unknown option :default"},
      {[declares("effect: :magic")], "effect should be one of :pure, :seeded, :volatile, :effect"},
      {[declares("inputs: :text")], "should be a list of names"},
      {[declares("inputs: [7]")], "the name of an input"},
      {[declares("inputs: [text: [default: self()]]")], "cannot travel"},
      {[declares("inputs: [text: [default: String.duplicate(\"x\", 600_000)]]")], "at most 524288 travel"},
      {[HostNodes.Upcase, twice], "both declare the node type \"upcase\""}
    ]

    for {modules, text} <- wrong do
      assert {:error, %Error{code: :invalid_nodes} = error} = Spec.declare(modules)
      assert error.message =~ text
    end
  end

  @tag :capture_log
  test "an instance with wrong nodes does not start, whoever finds it out", %{name: name} do
    Process.flag(:trap_exit, true)
    options = [name: name, python: python(), python_path: [Path.expand("../../../python", __DIR__)]]

    for modules <- [[String], [declares("inputs: [text: [min: :low]]")], [declares("inputs: [:a, :a]")]] do
      assert {:error, %Error{code: :invalid_nodes}} = Graphport.start_link([host_nodes: modules] ++ options)
    end

    assert_raise ArgumentError, ~r/option :host_nodes/, fn ->
      Graphport.start_link(host_nodes: [1], name: name)
    end

    assert_raise ArgumentError, ~r/:host_concurrency/, fn ->
      Graphport.start_link(host_concurrency: 0, name: name)
    end
  end
end
